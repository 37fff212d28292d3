"""Damage in the store: never a complete wrong content, set aside, and no outage taken for it."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from proxy.oci.digest import Digest
from proxy.oci.errors import (
    BlobUnknown,
    ContentMismatch,
    ManifestUnknown,
    RangeInvalid,
    StoreUnavailable,
)
from proxy.oci.span import RangeRequest
from proxy.registry.layout import LinkKind
from proxy.registry.puller import File
from proxy.registry.store import SMALL_BYTES
from tests.registry_store.ground import A
from tests.registry_store.stores import (
    LARGE,
    MIDDLE,
    SMALL,
    has_been_hashed,
    is_there,
    manifest_pull,
    pull_of,
    put,
    put_manifest,
    serve,
)
from tests.support.waiting import eventually


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inner").write_bytes(b"x")


def put_link(path: Path) -> None:
    copy = path.with_name("copy")
    path.rename(copy)
    path.symlink_to(copy)


def put_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = [
    flip,
    truncate,
    lengthen,
    lambda path: os.truncate(path, 0),
    put_folder,
    put_link,
    put_pipe,
]
NAMES = ["flipped", "truncated", "longer", "empty", "folder", "symlink", "pipe"]


@pytest.mark.parametrize("data", [SMALL, MIDDLE, LARGE], ids=len)
@pytest.mark.parametrize("damage", DAMAGES, ids=NAMES)
async def test_damage_is_never_served_and_set_aside(store, fresh, heard, data, damage):
    """C21: whatever took the file's place, no complete wrong content comes of it, it leaves the
    tree at its first detection, and the link stays, so that the next pull fetches it again.
    """
    path = await put(store, data)
    damage(path)
    async with asyncio.timeout(5):
        with pytest.raises((BlobUnknown, ContentMismatch)):
            await serve(fresh, data)
    await eventually(lambda: not is_there(path), what="set aside")
    await eventually(lambda: heard.count("proxima_quarantined_total") == 1)
    with pytest.raises(BlobUnknown):
        await fresh.open(pull_of(data))
    assert await store.tree.has_link(A, LinkKind.LAYER, Digest.of(data))


@pytest.mark.parametrize("damage", DAMAGES, ids=NAMES)
async def test_a_damaged_manifest_is_set_aside(store, fresh, damage):
    """C21: a manifest's file that isn't the manifest is unknown, and leaves the tree."""
    path = await put_manifest(store)
    damage(path)
    async with asyncio.timeout(5):
        with pytest.raises(ManifestUnknown):
            await fresh.open(manifest_pull())
    assert not is_there(path)


@pytest.mark.parametrize("damage", [put_folder, put_link, put_pipe])
async def test_what_is_no_file_has_no_size(store, damage):
    """HEAD of something that isn't a file asks the primary instead of telling its size."""
    damage(await put(store, MIDDLE))
    with pytest.raises(BlobUnknown):
        await store.resolve(pull_of(MIDDLE))
    assert not await store.has_bytes(Digest.of(MIDDLE))


@pytest.mark.parametrize("data", [MIDDLE, LARGE], ids=len)
async def test_a_part_beyond_a_truncated_file_finds_the_damage(store, fresh, data):
    """C21: clients that ask for ranges alone meet no lasting 416 of a damaged file."""
    path = await put(store, data)
    os.truncate(path, len(data) // 4 if data is MIDDLE else SMALL_BYTES + 1)
    with pytest.raises((RangeInvalid, BlobUnknown)):
        await fresh.open(pull_of(data), RangeRequest(len(data) - 10, None))
    await eventually(lambda: not path.exists(), what="set aside")


@pytest.mark.parametrize("data", [MIDDLE, LARGE], ids=len)
@pytest.mark.parametrize("when", ["first serve", "hashed before"])
async def test_a_read_error_sets_the_blob_aside(store, monkeypatch, data, when):
    """C21: EIO never completes an answer, and the blob is set aside for the next pull to fetch,
    also where it was hashed before and goes out by sendfile.
    """
    path = await put(store, data)
    if when == "hashed before":
        await serve(store, data)
        await eventually(lambda: has_been_hashed(store, path, data))
    fired = []

    def fails(*_):
        fired.append(1)
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fails)
        try:
            content = await store.open(pull_of(data))
        except BlobUnknown:
            pass
        else:
            assert isinstance(content, File)
            if content.growth.visible == len(data):
                content.growth.read_failed()  # what the sender says when sendfile fails
            else:
                with pytest.raises(StoreUnavailable):
                    await content.growth.visible_beyond(len(data) - 1)
            await content.aclose()
        await eventually(lambda: not path.exists(), what="set aside")
    assert fired


@pytest.fixture
def slow_read(monkeypatch) -> threading.Event:
    """Reads of files wait until this is set."""
    gate, pread = threading.Event(), os.pread

    def waiting(*arguments: int) -> bytes:
        assert gate.wait(10)
        return pread(*arguments)

    monkeypatch.setattr(os, "pread", waiting)
    return gate


async def test_a_doubted_blob_is_opened_once_it_is_known_what_it_is(store, heard, slow_read):
    """C21: two readers that can't read a blob have it hashed once; whoever opens it meanwhile
    waits for what that finds; who tells of it later changes nothing.
    """
    path = await put(store, LARGE)
    slow_read.set()
    await serve(store, LARGE)
    await eventually(lambda: has_been_hashed(store, path, LARGE))
    readers = [await store.open(pull_of(LARGE)) for _ in range(3)]
    os.truncate(path, len(LARGE) - 1)
    slow_read.clear()
    for each in readers[:2]:
        each.growth.read_failed()
    assert len(store.integrity._checks) == 1
    opening = asyncio.create_task(store.open(pull_of(LARGE), RangeRequest(len(LARGE) - 1, None)))
    assert not (await asyncio.wait((opening,), timeout=0.05))[0]
    slow_read.set()
    with pytest.raises(BlobUnknown):
        await opening
    await put(store, LARGE)
    await serve(store, LARGE)
    readers[2].growth.read_failed()
    assert not store.integrity._checks
    assert heard.count("proxima_quarantined_total") == 1
    for each in readers:
        await each.aclose()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP])
@pytest.mark.parametrize("kind", ["blob", "manifest"])
async def test_a_file_that_cannot_be_opened_is_set_aside(store, fresh, monkeypatch, number, kind):
    """C21: also what can't even be opened (chmod, EIO) is moved away and fetched again."""
    path = await put(store, MIDDLE) if kind == "blob" else await put_manifest(store)
    fired, real = [], os.open

    def fails(name, *arguments, **named):
        if str(name) == str(path):
            fired.append(1)
            raise OSError(number, os.strerror(number))
        return real(name, *arguments, **named)

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises((BlobUnknown, ManifestUnknown)):
        await fresh.open(pull_of(MIDDLE) if kind == "blob" else manifest_pull())
    assert fired
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_want_of_descriptors_is_no_damage(store, monkeypatch, number):
    """C26: what is short here says nothing about the blob: it stays."""
    path, real = await put(store, MIDDLE), os.open

    def fails(name, *arguments, **named):
        if str(name) == str(path):
            raise OSError(number, os.strerror(number))
        return real(name, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fails)
        with pytest.raises(StoreUnavailable):
            await store.open(pull_of(MIDDLE))
    assert await serve(store, MIDDLE) == MIDDLE


@pytest.mark.parametrize("data", [SMALL, MIDDLE, LARGE], ids=len)
async def test_damage_in_a_store_that_cannot_be_written_is_an_outage(
    store, fresh, monkeypatch, data
):
    """C20, C21: what can't be set aside is never complete either, nor absent: the primary may
    have it.
    """
    path = await put(store, data)
    flip(path)

    def fails(*_):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "rename", fails)
    for _ in range(2):
        with pytest.raises((StoreUnavailable, ContentMismatch)):
            await serve(fresh, data)
        await eventually(lambda: not fresh.integrity._checks)
