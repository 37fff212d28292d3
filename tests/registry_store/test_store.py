"""Reads of the store: never wrong, hashed once for each state of a file, damage set aside."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
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
from proxy.oci.manifest import check_manifest
from proxy.oci.request import BlobPull, ManifestPull
from proxy.oci.span import RangeRequest
from proxy.registry.integrity import HASH_STEP_BYTES, Integrity, Stamp
from proxy.registry.layout import LinkKind
from proxy.registry.puller import File
from proxy.registry.store import SMALL_BYTES, Store
from tests.registry_store.ground import TAIL_BYTES, A, B, open_files, read_all
from tests.support.waiting import eventually

SMALL, MIDDLE, LARGE = os.urandom(1000), os.urandom(20_000), os.urandom(SMALL_BYTES * 3)
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCUMENT = b'{"schemaVersion":2,"mediaType":"%s","config":{},"layers":[]}' % OCI_MANIFEST.encode()


def pull_of(data: bytes, repository=A) -> BlobPull:
    return BlobPull(repository, Digest.of(data))


def manifest_pull(repository=A) -> ManifestPull:
    return ManifestPull(repository, Digest.of(DOCUMENT))


async def opened_store(tree) -> AsyncIterator[Store]:
    store = Store(tree, Integrity(tree, TAIL_BYTES), 1 << 20, may_serve_unverified_parts=True)
    yield store
    await eventually(lambda: not store.integrity._checks)
    await store.integrity.close()
    assert open_files(tree.layout.root) == []


@pytest.fixture
async def store(tree):
    """A store over the tree; no descriptor is left at its end."""
    async for store in opened_store(tree):
        yield store


@pytest.fixture
async def fresh(tree):
    """A store over the same tree that has read nothing yet, as after a start."""
    async for store in opened_store(tree):
        yield store


async def put(store: Store, data: bytes) -> Path:
    digest = Digest.of(data)
    await store.tree.put_bytes(digest, data)
    await store.tree.put_link(A, LinkKind.LAYER, digest)
    return store.tree.layout.data(digest)


async def put_manifest(store: Store) -> Path:
    digest = Digest.of(DOCUMENT)
    await store.put_manifest(A, check_manifest(DOCUMENT, digest, OCI_MANIFEST))
    return store.tree.layout.data(digest)


def has_been_hashed(store: Store, path: Path, data: bytes) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return store.integrity.is_good(Digest.of(data), Stamp.of(descriptor))
    finally:
        os.close(descriptor)


def is_there(path: Path) -> bool:
    """Say whether anything has this name, a dangling link included."""
    return os.path.lexists(path)


# --- hits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", SMALL, MIDDLE, LARGE], ids=len)
async def test_what_is_here_and_linked_is_served(store, data):
    """Empty, remembered, small and large blobs: all of them whole, and their size by HEAD."""
    await put(store, data)
    pull = pull_of(data)
    for _ in range(3):
        assert await read_all(await store.open(pull)) == data
    assert (await store.resolve(pull)).descriptor.size == len(data)


@pytest.mark.parametrize("data", [SMALL, MIDDLE, LARGE], ids=len)
async def test_bytes_without_a_link_are_absent(store, data):
    """C4: through another repository there is nothing, before and after a legal pull."""
    await put(store, data)
    for _ in range(2):
        for ask in (store.open, store.resolve):
            with pytest.raises(BlobUnknown):
                await ask(pull_of(data, B))
        assert store.at_hand(pull_of(data, B)) is None
        assert await read_all(await store.open(pull_of(data))) == data


async def test_a_manifest_is_served_where_it_is_linked(store, fresh):
    """C4, C19: bytes and type are those that were stored; elsewhere it is unknown."""
    await put_manifest(store)
    for each in (store, fresh):
        content = await each.open(manifest_pull())
        assert content.resolution.descriptor.media_type == OCI_MANIFEST
        assert await read_all(content) == DOCUMENT
        with pytest.raises(ManifestUnknown):
            await each.open(manifest_pull(B))


@pytest.mark.parametrize("data", [SMALL, MIDDLE, LARGE], ids=len)
@pytest.mark.parametrize(
    ("part", "span"),
    [
        (RangeRequest(0, 0), slice(0, 1)),
        (RangeRequest(10, 99), slice(10, 100)),
        (RangeRequest(500, None), slice(500, None)),
        (RangeRequest(None, 7), slice(-7, None)),
        (RangeRequest(0, 10**9), slice(0, None)),
    ],
)
async def test_parts_are_cut_from_what_is_here(store, data, part, span):
    """A range gives the very bytes it asks for, hashed or not."""
    await put(store, data)
    for _ in range(2):
        assert await read_all(await store.open(pull_of(data), part)) == data[span]


# --- hashing --------------------------------------------------------------------------------------


async def test_the_first_whole_serve_hashes_and_later_ones_do_not(store, monkeypatch):
    """C21, settled 20: after a start a blob goes once through read and hash with its tail held
    back; then all of it may be sent at once, by sendfile.
    """
    path = await put(store, LARGE)
    reads, real = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: reads.append(asked) or real(*asked))
    first = await store.open(pull_of(LARGE))
    assert isinstance(first, File)
    assert first.growth.visible < len(LARGE)
    await first.growth.visible_beyond(len(LARGE) - 1)
    await first.aclose()
    assert [size for _, size, _ in reads] == [HASH_STEP_BYTES]
    assert has_been_hashed(store, path, LARGE)
    second = await store.open(pull_of(LARGE))
    assert second.growth.visible == len(LARGE)
    await second.aclose()
    assert len(reads) == 1


async def test_many_first_serves_hash_once(store, monkeypatch):
    """C7: a hundred clients after a start read the file once for the hash."""
    await put(store, LARGE)
    hashed, real = [], Integrity._hash
    monkeypatch.setattr(
        Integrity, "_hash", lambda self, *asked: hashed.append(asked) or real(self, *asked)
    )
    found = await asyncio.gather(*(serve(store, LARGE) for _ in range(100)))
    assert all(data == LARGE for data in found)
    assert len(hashed) == 1


async def serve(store: Store, data: bytes) -> bytes:
    return await read_all(await store.open(pull_of(data)))


@pytest.mark.parametrize("data", [MIDDLE, LARGE], ids=len)
@pytest.mark.parametrize("change", ["time", "inode"])
async def test_a_file_that_changed_is_hashed_again(store, data, change):
    """C21: another inode or time of change is another state, whose bytes nobody has seen."""
    path = await put(store, data)
    await serve(store, data)
    await eventually(lambda: has_been_hashed(store, path, data))
    if change == "time":
        os.utime(path, ns=(1, 1))
    else:
        other = path.with_name("other")
        other.write_bytes(data)
        other.rename(path)
    assert not has_been_hashed(store, path, data)
    assert await serve(store, data) == data
    await eventually(lambda: has_been_hashed(store, path, data))


async def test_a_check_is_of_one_state_of_the_file(store, monkeypatch):
    """A file that took the place of a damaged one isn't judged by the other's hash."""
    path = await put(store, LARGE)
    path.write_bytes(b"\0" * len(LARGE))
    bad = await store.open(pull_of(LARGE))
    other = path.with_name("other")
    other.write_bytes(LARGE)
    other.rename(path)
    good = await store.open(pull_of(LARGE))
    assert await read_all(good) == LARGE
    with pytest.raises(ContentMismatch):
        await read_all(bad)
    await eventually(lambda: not store.integrity._checks)
    assert path.read_bytes() == LARGE, "the good one was set aside for the bad one"


# --- damage ---------------------------------------------------------------------------------------


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
