"""A flight's followers, its commit, and a disk that fails under it."""

import asyncio
import errno
import os
import threading
from contextlib import suppress

import pytest

from proxy.oci.errors import ContentMismatch, RegistryError, StoreUnavailable, Unavailable
from proxy.oci.request import BlobPull
from proxy.oci.span import RangeRequest
from proxy.registry.layout import LinkKind
from tests.registry_store.ground import (
    A,
    B,
    at_once,
    open_files,
    read_all,
    spooled,
)
from tests.support.waiting import eventually

DATA = os.urandom(300_000)


@pytest.mark.parametrize("step", ["posix_fallocate", "pwrite", "fsync", "rename", "link"])
async def test_a_disk_that_fails_costs_the_copy_alone(ground, monkeypatch, step):
    """C20, C21: whichever step of a fill the disk refuses, the client gets verified bytes or an
    error, never wrong ones; nothing half-done stays, and with the disk well again it is kept.
    """
    digest = ground.primary.add(DATA)
    pull = BlobPull(A, digest)
    fired = []

    def fails(*_, **__):
        fired.append(step)
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        if step == "rename":
            patched.setattr("pathlib.Path.rename", fails)
        elif step == "link":
            patched.setattr("proxy.registry.durable.write_file", fails)
        else:
            patched.setattr(os, step, fails)
        with suppress(RegistryError):
            assert await read_all(await ground.fill.open(pull)) == DATA
        await eventually(lambda: ground.fill.flights == 0)
    assert fired
    assert spooled(ground.tree) == []
    assert ground.tree.layout.data(digest).exists() == (step == "link")
    assert ground.heard.count("proxima_store_failures_total") >= 1
    assert await read_all(await ground.fill.open(pull)) == DATA
    await eventually(lambda: ground.tree.layout.data(digest).exists())
    await eventually(lambda: ground.fill.flights == 0)
    assert await ground.tree.has_link(A, LinkKind.LAYER, digest)
    assert await read_all(await ground.store.open(pull)) == DATA
    assert open_files(ground.tree.layout.root) == []


async def test_a_failed_sync_isnt_tried_again(ground, monkeypatch):
    """C21, F4: the fill is discarded after its one failed sync; its client has all bytes."""
    digest = ground.primary.add(DATA)
    calls = []

    def fails(descriptor):
        calls.append(descriptor)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fails)
    assert await read_all(await ground.fill.open(BlobPull(A, digest))) == DATA
    await eventually(lambda: ground.fill.flights == 0)
    assert len(calls) == 1
    assert not ground.tree.layout.data(digest).exists()
    (ended,) = ground.heard.events("fill.uncached")
    assert "broken" in ended["error"]


async def test_wrong_bytes_are_never_complete_and_never_kept(ground):
    """C1: a flight whose bytes don't have their digest ends in an error for every follower."""
    digest = ground.primary.add(DATA)
    ground.primary.blobs[A, digest] = DATA[:-1] + bytes([DATA[-1] ^ 1])
    opened = await ground.fill.open(BlobPull(A, digest))
    with pytest.raises(ContentMismatch):
        await read_all(opened)
    await eventually(lambda: ground.fill.flights == 0)
    assert not ground.tree.layout.data(digest).exists()
    assert spooled(ground.tree) == []
    assert not await ground.tree.has_link(A, LinkKind.LAYER, digest)


async def test_followers_at_any_offset_get_their_part(ground):
    """C7: a hundred followers, whole and ranges, of one flight: one GET, everybody right."""
    digest = ground.primary.add(DATA)
    started, go_on = asyncio.Event(), asyncio.Event()

    async def paused(data):
        yield data[:1000]
        started.set()
        await go_on.wait()
        async for chunk in at_once(data[1000:]):
            yield chunk

    ground.primary.send = paused
    pull = BlobPull(A, digest)
    first = asyncio.create_task(ground.fill.open(pull))
    await started.wait()
    spans = [(start, start + 100 + start // 3) for start in range(0, 200_000, 2_003)]
    asked = [RangeRequest(first_, last - 1) for first_, last in spans]
    contents = [await ground.fill.open(pull, part) for part in asked]
    contents.append(await ground.fill.open(pull, RangeRequest(None, 10)))
    contents.append(await first)
    reads = asyncio.gather(*(read_all(content) for content in contents))
    go_on.set()
    *parts, suffix, whole = await reads
    assert parts == [DATA[start:stop] for start, stop in spans]
    assert (suffix, whole) == (DATA[-10:], DATA)
    assert ground.primary.count("GET") == 1
    await eventually(lambda: ground.fill.flights == 0)
    assert open_files(ground.tree.layout.root) == []


async def test_a_repository_that_joins_at_the_end_is_linked(ground, monkeypatch):
    """C8: repositories proven while the links are written are linked, too, and disturb nothing."""
    digest = ground.primary.add(DATA, A, B)
    put_link, joined = ground.tree.put_link, []

    async def put_link_slowly(*proof):
        if not joined:
            joined.append(await ground.fill.open(BlobPull(B, digest)))
        await put_link(*proof)

    monkeypatch.setattr(ground.tree, "put_link", put_link_slowly)
    assert await read_all(await ground.fill.open(BlobPull(A, digest))) == DATA
    await eventually(lambda: ground.fill.flights == 0)
    assert await read_all(joined[0]) == DATA
    for repository in (A, B):
        assert await ground.tree.has_link(repository, LinkKind.LAYER, digest)
    assert ground.heard.events("fill.committed")


async def test_nobody_joins_a_flight_that_has_let_go(ground, monkeypatch):
    """C1: whoever comes between the end of a flight and its being forgotten reads no descriptor
    that was closed: another file may have it by then.
    """
    digest = ground.primary.add(DATA)
    pull = BlobPull(A, digest)
    gate, entered = threading.Event(), threading.Event()
    real = os.unlink

    def slow_unlink(path, *arguments, **named):
        if "/spool/" in str(path):
            entered.set()
            assert gate.wait(10)
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "unlink", slow_unlink)
    assert await read_all(await ground.fill.open(pull)) == DATA
    assert await asyncio.to_thread(entered.wait, 10)
    real(ground.tree.layout.data(digest))  # so that the store has no answer
    late = asyncio.create_task(ground.fill.open(pull))
    await asyncio.sleep(0.01)
    decoys = [os.memfd_create("decoy") for _ in range(50)]
    gate.set()
    try:
        content = await late
    except (Unavailable, StoreUnavailable):
        pass  # to be asked again: not wrong
    else:
        assert await read_all(content) == DATA
    finally:
        for decoy in decoys:
            os.close(decoy)
    await eventually(lambda: ground.fill.flights == 0)
