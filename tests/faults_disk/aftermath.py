"""What has to hold of a store after a crash, looked at from outside and by the next start."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import BlobUnknown, RegistryError
from proxy.oci.request import BlobPull, ManifestPull
from proxy.registry.interrupted import read_marks
from proxy.registry.sidecar import Sidecar
from tests.faults_disk.driver import BLOB, LARGE, MANIFEST, PUSHED, TAG
from tests.registry_store.ground import (
    A,
    B,
    Ground,
    Heard,
    MemoryPrimary,
    names_in,
    opened_ground,
    read_all,
    spooled,
)
from tests.support.store_tree import TREE, visible_blobs, wrong_blobs
from tests.support.waiting import eventually


def wrong_links(root: Path) -> list[str]:
    """Give the links whose content isn't what their path says; tags name any digest."""
    links = (root / TREE / "repositories").rglob("link")
    return [str(link) for link in links if not _is_right(link)]


def _is_right(link: Path) -> bool:
    text = link.read_text()
    if link.parent.name == "current":
        return str(Digest.parse(text)) == text
    return text == f"{link.parts[-3]}:{link.parts[-2]}"


def dangling_links(root: Path) -> list[str]:
    """Give the links of layers and manifests without bytes: a link comes after its bytes."""
    repositories = root / TREE / "repositories"
    links = [*repositories.rglob("_layers/*/*/link"), *repositories.rglob("revisions/*/*/link")]
    visible = visible_blobs(root)
    return [str(link) for link in links if f"{link.parts[-3]}:{link.parts[-2]}" not in visible]


def dangling_rows(root: Path) -> list[tuple[str, str]]:
    """Give the tags that the sidecar has rows of and the tree hasn't got."""
    with closing(sqlite3.connect(root / "proxima.sqlite")) as connection:
        rows = connection.execute("SELECT repository, tag, digest FROM tag").fetchall()
    return [(name, tag) for name, tag, digest in rows if _named(root, name, tag) != digest]


def lost_news(root: Path) -> list[str]:
    """Give the events whose place in the log was passed though they are neither a job nor done."""
    with closing(sqlite3.connect(root / "proxima.sqlite")) as connection:
        facts = dict(connection.execute("SELECT name, value FROM fact").fetchall())
        jobs = connection.execute("SELECT repository, reference FROM job").fetchall()
    if "replication.cursor" not in facts or jobs:
        return []
    parts = (Digest.of(MANIFEST), Digest.of(LARGE))
    is_done = _named(root, A, TAG) == str(parts[0]) and {*map(str, parts)} <= {*visible_blobs(root)}
    return [] if is_done else [facts["replication.cursor"]]


def _named(root: Path, repository: str, tag: str) -> str | None:
    link = root / TREE / "repositories" / repository / f"_manifests/tags/{tag}/current/link"
    return link.read_text() if link.exists() else None


async def check(root: Path, *, may_dangle: bool = False, is_damaged: bool = False) -> None:
    """Check a store that a crash has left: as it lies there, then after a start and pulls.

    may_dangle: links without bytes and rows without tags may be left (by a deletion or a repair).
    is_damaged: a blob was damaged before the crash, which the first pull of it finds.
    """
    if not is_damaged:
        check_what_is_visible(root, may_dangle=may_dangle)
    primary, heard = MemoryPrimary(), Heard()
    for data in (BLOB, LARGE, MANIFEST, PUSHED):
        primary.add(data, A, B)
    sidecar = Sidecar(root / "proxima.sqlite")
    async with opened_ground(root, primary, heard) as ground:
        check_spool(ground)
        await sidecar.open()
        assert sidecar.failures == 0
        assert lost_news(root) == []
        if is_damaged:
            await find_damage(ground)
        await check_pulls(ground)
        await sidecar.close()
        assert spooled(ground.tree) == []
    assert [name for name in names_in(root) if ".damaged-" in name] == []
    assert may_dangle or dangling_rows(root) == []
    check_what_is_visible(root, may_dangle=may_dangle)
    heard.close()


async def find_damage(ground: Ground) -> None:
    """Pull the blob that may be damaged: what comes is right or an error."""
    with suppress(RegistryError):
        assert await read_all(await ground.fill.open(BlobPull(A, Digest.of(BLOB)))) == BLOB
    await eventually(lambda: not wrong_blobs(ground.tree.layout.root), what="set aside")


def check_spool(ground: Ground) -> None:
    """What a start leaves in the spool are fills of which as much is right as their marks say."""
    marks = read_marks(ground.tree.layout.spool)
    names = [name for mark in marks for name in (mark.path.name, f"{mark.path.name}.mark")]
    assert spooled(ground.tree) == sorted(names)
    for mark in marks:
        (data,) = (each for each in (BLOB, LARGE) if mark.digest.matches(each))
        assert mark.size == len(data)
        assert mark.path.read_bytes()[: mark.here] == data[: mark.here]


def check_what_is_visible(root: Path, *, may_dangle: bool) -> None:
    assert wrong_blobs(root) == set()
    assert wrong_links(root) == []
    assert may_dangle or dangling_links(root) == []


async def check_pulls(ground: Ground) -> None:
    """Everything is pulled right and complete, and kept."""
    manifest = await ground.fill.open(ManifestPull(A, Digest.of(MANIFEST)))
    assert await read_all(manifest) == MANIFEST
    for data in (BLOB, LARGE, PUSHED):
        pull = BlobPull(A, Digest.of(data))
        assert await read_all(await ground.fill.open(pull)) == data
        await eventually(lambda: ground.fill.flights == 0)
        assert await read_all(await ground.store.open(pull)) == data
    with pytest.raises(BlobUnknown):  # only A has it: presence grants nothing
        await ground.store.open(BlobPull(B, Digest.of(PUSHED)))
