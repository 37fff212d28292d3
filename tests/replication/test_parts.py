"""Parts: what an artifact is made of is known as a whole, or not at all."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.oci.digest import Digest
from proxy.registry.sidecar import MAX_QUEUED_WRITES, Sidecar
from proxy.replication.parts import AT_ONCE, Parts


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(tmp_path / "sidecar.db")
    await sidecar.open()
    yield sidecar
    await sidecar.close()


@pytest.mark.parametrize("number", [0, MAX_QUEUED_WRITES + 1, 2 * AT_ONCE + 1])
async def test_all_parts_are_noted_however_many_there_are(sidecar: Sidecar, number: int) -> None:
    """An artifact of more parts than there is room in the queue of writes is known with all of
    them, and takes nobody else's place in that queue.
    """
    artifact = Digest.of(b"artifact")
    noted = {Digest.of(b"%d" % each) for each in range(number)}
    parts = Parts(sidecar)
    parts.note(artifact, noted)
    (found,) = await parts.doubtful(1)
    assert (found.artifact, set(found.parts)) == (artifact, {artifact, *noted})
    assert sidecar.failures == 0
