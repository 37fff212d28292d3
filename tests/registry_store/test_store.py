"""Reads of the store: what is here and linked, hashed once for each state of a file."""

import asyncio
import os

import pytest

from proxy.oci.errors import BlobUnknown, ContentMismatch, ManifestUnknown
from proxy.oci.span import RangeRequest
from proxy.registry import integrity
from proxy.registry import store as stores
from proxy.registry.integrity import Integrity
from proxy.registry.puller import File
from tests.registry_store.ground import B, read_all
from tests.registry_store.stores import (
    DOCUMENT,
    LARGE,
    MIDDLE,
    OCI_MANIFEST,
    SMALL,
    has_been_hashed,
    manifest_pull,
    pull_of,
    put,
    put_manifest,
    serve,
)
from tests.support.waiting import eventually

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
    monkeypatch.setattr(stores, "WHOLE_FIRST_BYTES", 0)
    monkeypatch.setattr(integrity, "HASH_STEP_BYTES", len(LARGE) // 3)
    reads, real = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: reads.append(asked) or real(*asked))
    first = await store.open(pull_of(LARGE))
    assert isinstance(first, File)
    assert first.growth.visible < len(LARGE)
    await first.growth.visible_beyond(len(LARGE) - 1)
    await first.aclose()
    assert [size for _, size, _ in reads] == [len(LARGE) // 3] * 3
    assert has_been_hashed(store, path, LARGE)
    second = await store.open(pull_of(LARGE))
    assert second.growth.visible == len(LARGE)
    await second.aclose()
    assert len(reads) == 3


async def test_a_smaller_blob_is_hashed_before_its_first_byte(store):
    """C21: what is damaged is known before anything of it was sent, so that it can be fetched."""
    await put(store, LARGE)
    first = await store.open(pull_of(LARGE))
    assert first.growth.visible == len(LARGE) <= stores.WHOLE_FIRST_BYTES
    await first.aclose()


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
    monkeypatch.setattr(stores, "WHOLE_FIRST_BYTES", 0)
    monkeypatch.setattr(integrity, "HASH_STEP_BYTES", len(LARGE) // 3)
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
