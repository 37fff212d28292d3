"""Rows that tests of the sidecar put and look for, and starts that find them."""

from pathlib import Path

from proxy.oci.digest import Digest
from proxy.oci.reference import Tag
from proxy.registry.sidecar import AnswerRow, Sidecar, TagRow
from tests.registry_store.ground import A

ROW = TagRow(Digest.of(b"manifest"), 1_700_000_000.5)
ANSWER = AnswerRow('{"Link":"<x>"}', b'{"tags":[]}\xff\0', 1_700_000_000.5)
TAG = Tag("1.0")


async def reopened(path: Path) -> Sidecar:
    """Open the file as another start does."""
    sidecar = Sidecar(path)
    await sidecar.open()
    return sidecar


async def what_is_kept(path: Path) -> TagRow | None:
    """Give what another start finds of the one tag."""
    sidecar = await reopened(path)
    try:
        return await sidecar.tag(A, TAG)
    finally:
        await sidecar.close()
