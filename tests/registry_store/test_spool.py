"""Files that grow in the spool: in order, hashed once, and never synced again after a failure."""

import asyncio
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.oci.digest import Algorithm, Digest
from proxy.oci.errors import StoreUnavailable
from proxy.oci.span import ByteSpan
from proxy.registry import spool as spool_module
from proxy.registry.spool import MAX_PENDING_BYTES, SpoolFile, create_spool_file


@pytest.fixture
async def spool_file(tree):
    """Makes spool files; closes them at the end. Their progress is in `progress`."""
    made = []

    def make(algorithm=Algorithm.SHA256, size=None):
        progress = []
        path, descriptor = create_spool_file(tree.layout.spool, size)
        made.append(descriptor)
        spool = SpoolFile(path, descriptor, algorithm, tree, progress.append)
        spool.progress = progress
        return spool

    yield make
    for descriptor in made:
        os.close(descriptor)


class Gate:
    """Holds calls of a function in their threads until it is opened; may let them fail."""

    def __init__(self, function, error=None) -> None:
        self._function = function
        self._error = error
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.calls: list[tuple[object, ...]] = []

    def __call__(self, *arguments):
        self.calls.append(arguments)
        self.entered.set()
        assert self.opened.wait(10)
        if self._error is not None:
            raise self._error
        return self._function(*arguments)

    async def wait_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 10)


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_bytes_are_written_in_order_and_hashed(spool_file, algorithm):
    """The file holds what was written, and the digest is that of all of it."""
    spool = spool_file(algorithm)
    chunks = [bytes([number]) * (number * 37) for number in range(200)]
    for chunk in chunks:
        await spool.write(chunk)
    data = b"".join(chunks)
    assert await spool.finish() == Digest.of(data, algorithm)
    assert spool.path.read_bytes() == data
    assert spool.written == spool.accepted == sum(map(len, spool.progress)) == len(data)


async def test_an_empty_file_has_the_digest_of_nothing(spool_file):
    """Content of no bytes is content."""
    assert await spool_file().finish() == Digest.of(b"")


@given(sizes=st.lists(st.integers(1, 300_000), max_size=12))
@settings(max_examples=25, deadline=None)
def test_progress_never_runs_ahead_of_the_file(sizes):
    """C1: whatever the chunks, progress is told after the bytes are in the file."""
    asyncio.run(_check_progress(sizes))


async def _check_progress(sizes):
    descriptor = os.memfd_create("spool")
    told = [0]

    def note(span: ByteSpan) -> None:
        told.append(told[-1] + len(span))
        assert os.fstat(descriptor).st_size >= told[-1]

    with ThreadPoolExecutor(2) as executor:
        keeper = type("Keeper", (), {"executor": executor, "note_failure": lambda *_: None})()
        spool = SpoolFile(None, descriptor, Algorithm.SHA256, keeper, note)
        for size in sizes:
            await spool.write(os.urandom(size))
        await spool.finish()
    assert told[-1] == sum(sizes)
    os.close(descriptor)


async def test_a_slow_disk_holds_the_writer_back(spool_file, monkeypatch):
    """No more than 1 MiB and one chunk waits in memory for the disk."""
    gate = Gate(os.pwrite)
    monkeypatch.setattr(os, "pwrite", gate)
    spool = spool_file()
    chunk = b"x" * (256 << 10)

    async def write_much() -> None:
        for _ in range(64):
            await spool.write(chunk)

    writer = asyncio.create_task(write_much())
    await gate.wait_entered()
    for _ in range(200):
        await asyncio.sleep(0)
    assert spool.accepted <= MAX_PENDING_BYTES + 2 * len(chunk)
    gate.opened.set()
    await writer
    assert await spool.finish() == Digest.of(chunk * 64)


async def write_on(spool: SpoolFile, chunk: bytes) -> None:
    """Write chunk after chunk, until that fails."""
    async with asyncio.timeout(10):
        while True:
            await spool.write(chunk)
            await asyncio.sleep(0.001)


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_a_failed_write_fails_the_file_for_good(spool_file, heard, monkeypatch, number):
    """C20: after one failed write nothing more is written, and the failure is counted once."""
    spool = spool_file()
    await spool.write(b"good")
    await spool.finish()
    calls = []

    def fails(*_):
        calls.append(1)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", fails)
    with pytest.raises(StoreUnavailable):
        await write_on(spool, b"bad")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await spool.write(b"more")
        with pytest.raises(StoreUnavailable):
            await spool.finish()
    assert len(calls) == 1
    assert sum(map(len, spool.progress)) == spool.written == 4
    assert heard.count("proxima_store_failures_total") == 1
    assert os.strerror(number) in heard.events("store.failed")[0]["error"]


async def test_a_failed_sync_is_final(spool_file, monkeypatch):
    """C21, F4: pages of a failed sync are marked clean, so this file is never synced again."""
    monkeypatch.setattr(spool_module, "SYNC_EVERY_BYTES", 1000)
    calls = []

    def fails(descriptor):
        calls.append(descriptor)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fdatasync", fails)
    spool = spool_file()
    with pytest.raises(StoreUnavailable):
        await write_on(spool, b"x" * 1000)
    with pytest.raises(StoreUnavailable):
        await spool.finish()
    assert calls == [spool.descriptor_number]


async def test_it_is_written_back_as_it_grows(spool_file, monkeypatch):
    """Each so many bytes are synced behind the writing, so that the last sync is short."""
    monkeypatch.setattr(spool_module, "SYNC_EVERY_BYTES", 1 << 20)
    synced, real = [], os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda number: synced.append(number) or real(number))
    spool = spool_file()
    for _ in range(40):
        await spool.write(b"x" * (128 << 10))
    await spool.finish()
    assert 1 <= len(synced) <= 5


# --- quiet ----------------------------------------------------------------------------------------


async def test_quiet_waits_for_the_write_that_runs(spool_file, monkeypatch):
    """No thread uses the descriptor once `quiet` returns; what was pending is dropped."""
    gate = Gate(os.pwrite)
    monkeypatch.setattr(os, "pwrite", gate)
    spool = spool_file()
    await spool.write(b"first")
    await gate.wait_entered()
    await spool.write(b"second")
    quiet = asyncio.create_task(spool.quiet())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not quiet.done()
    gate.opened.set()
    await quiet
    assert len(gate.calls) == 1


async def test_quiet_waits_for_the_sync_that_a_write_starts(spool_file, monkeypatch):
    """The write that runs may start a sync when it ends: the descriptor is in use until then."""
    monkeypatch.setattr(spool_module, "SYNC_EVERY_BYTES", 1)
    write, sync = Gate(os.pwrite), Gate(os.fdatasync)
    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "fdatasync", sync)
    spool = spool_file()
    await spool.write(b"data")
    await write.wait_entered()
    quiet = asyncio.create_task(spool.quiet())
    await asyncio.sleep(0)
    write.opened.set()
    await sync.wait_entered()
    assert not quiet.done()
    sync.opened.set()
    await quiet


# --- cut back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 999, 100_000, 2_500_000])
async def test_cut_back_and_go_on(spool_file, size):
    """What lies beyond is dropped; it goes on from there, and the digest is right."""
    spool = spool_file()
    data = os.urandom(2_500_000)
    for start in range(0, len(data), 300_000):
        await spool.write(data[start : start + 300_000])
    await spool.cut_back(size)
    assert (spool.accepted, spool.written, spool.path.stat().st_size) == (size, size, size)
    await spool.write(b"other end")
    assert await spool.finish() == Digest.of(data[:size] + b"other end")
    assert spool.path.read_bytes() == data[:size] + b"other end"


async def test_a_cut_back_that_fails_fails_the_file(spool_file, monkeypatch):
    """A file whose content isn't known any more takes nothing more."""
    spool = spool_file()
    await spool.write(b"x" * 1000)

    def fails(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(StoreUnavailable):
        await spool.cut_back(10)
    with pytest.raises(StoreUnavailable):
        await spool.finish()


async def test_quiet_waits_for_a_cut_back_whose_caller_left(spool_file, monkeypatch):
    """A cancelled request leaves no thread behind that truncates a descriptor of somebody else."""
    spool = spool_file()
    await spool.write(b"x" * 1000)
    await spool.finish()
    gate = Gate(os.ftruncate)
    monkeypatch.setattr(os, "ftruncate", gate)
    cut = asyncio.create_task(spool.cut_back(10))
    await gate.wait_entered()
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    quiet = asyncio.create_task(spool.quiet())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not quiet.done()
    gate.opened.set()
    await quiet
