"""`proxima adopt`: contents of another tree are ours; what they are worth the primary says."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Opened
from tests.fills.in_process import InProcess, in_process
from tests.support.command_line import Proxima
from tests.support.hostile import BLOBS, HostileUpstream
from tests.support.store_tree import blob_path, linked_blobs, visible_blobs, wrong_blobs
from tests.verbs.conftest import REPOSITORY, Images, pull


@pytest.fixture
def disk(pulled_store: Path, tmp_path: Path) -> Path:
    """A copied disk of a registry that had both images."""
    return Path(shutil.copytree(pulled_store, tmp_path / "disk"))


def adopted(proxima: Proxima, disk: Path, store: Path):
    return proxima("adopt", disk, "--store", store, "--json")


@pytest.mark.parametrize("is_running", [True, False], ids=["beside a replica", "alone"])
def test_what_was_adopted_is_not_fetched(
    proxima: Proxima,
    upstream: HostileUpstream,
    images: Images,
    running: InProcess,
    life: ExitStack,
    opened: Opened,
    disk: Path,
    is_running: bool,
) -> None:
    """A pull of adopted blobs asks the primary about each once, and fetches none."""
    if not is_running:
        life.close()
    outcome = adopted(proxima, disk, running.store)
    assert outcome.status == 0, outcome
    assert outcome.result["adopted"] == len(visible_blobs(disk))
    assert set(visible_blobs(running.store)) == set(visible_blobs(disk))
    assert linked_blobs(running.store, REPOSITORY) == set()
    replica = running
    if not is_running:
        replica = opened(in_process(upstream.url, root=running.store))
    upstream.forget()
    pull(replica, images.single, "1.0")
    assert upstream.count("GET", BLOBS) == 0
    assert upstream.count("HEAD", BLOBS) >= len(images.single.blobs)
    assert adopted(proxima, disk, running.store).result["here"] == len(visible_blobs(disk))


def test_what_the_primary_lacks_stays_out_of_reach(
    proxima: Proxima, upstream: HostileUpstream, images: Images, running: InProcess, disk: Path
) -> None:
    """C4: adopted bytes grant nothing: what a repository lacks at the primary it lacks here."""
    assert adopted(proxima, disk, running.store).status == 0
    blob = images.single.blobs[0]
    upstream.contents.repository("team/other")
    running.client.get(f"/v2/team/other/blobs/{blob.digest}").expect(404)
    assert linked_blobs(running.store, "team/other") == set()


def test_wrong_bytes_are_told_and_left(
    proxima: Proxima, images: Images, running: InProcess, disk: Path
) -> None:
    """C21: a content of the other tree that rotted isn't adopted; the other tree stays as it is."""
    digest = images.single.blobs[1].digest
    file = blob_path(disk, digest)
    data = file.read_bytes()
    spoilt = data[:-1] + bytes([data[-1] ^ 1])
    file.write_bytes(spoilt)
    outcome = adopted(proxima, disk, running.store)
    assert (outcome.status, outcome.deeds("failed")) == (1, [digest])
    assert digest not in visible_blobs(running.store)
    assert wrong_blobs(running.store) == set()
    assert file.read_bytes() == spoilt
    assert running.spooled == []


def test_what_is_no_tree_is_refused(proxima: Proxima, running: InProcess, tmp_path: Path) -> None:
    """A folder without a tree is told, by the place where it was looked for."""
    outcome = adopted(proxima, tmp_path, running.store)
    assert outcome.status == 1
    assert "docker/registry/v2/blobs" in outcome.errors
