"""A flight that is cancelled, wherever it waits, leaves nothing behind and nothing wrong."""

import asyncio
import os
import threading
from collections.abc import Callable, Generator
from contextlib import suppress

import pytest

from proxy.oci.errors import RegistryError, Unavailable
from proxy.oci.request import BlobPull
from proxy.registry.fetcher import Fetcher
from proxy.registry.flight import Flight
from proxy.registry.layout import LinkKind
from tests.registry_store.ground import (
    TAIL_BYTES,
    A,
    broken_after,
    file_of,
    open_files,
    spooled,
)

DATA = os.urandom(300_000)


class CancelledAt:
    """Runs a coroutine and cancels its task at the coroutine's *number*th wait."""

    def __init__(self, coroutine, number: int, cancel: Callable[[asyncio.Task], None]) -> None:
        self._coroutine = coroutine
        self._number = number
        self._cancel = cancel
        self.waits = 0

    def __await__(self) -> Generator[object, object, object]:
        step, argument = self._coroutine.send, None
        while True:
            try:
                waited_for = step(argument)
            except StopIteration as end:
                return end.value
            self.waits += 1
            if self.waits == self._number:
                self._cancel(asyncio.current_task())
            try:
                step, argument = self._coroutine.send, (yield waited_for)
            except BaseException as exc:  # noqa: BLE001  # handed on to the coroutine
                step, argument = self._coroutine.throw, exc


def at_once_cancelled(task: asyncio.Task) -> None:
    """Cancel before what is waited for has begun."""
    task.cancel()


def cancelled_after(milliseconds: float) -> Callable[[asyncio.Task], None]:
    """Cancel while a thread may be in the middle of it; a sync takes 2 ms here."""

    def cancel(task: asyncio.Task) -> None:
        asyncio.get_running_loop().call_later(milliseconds / 1000, task.cancel)

    return cancel


def twice_cancelled(task: asyncio.Task) -> None:
    """Cancel again while the first cancellation is dealt with."""
    task.cancel()
    for delay in (0.0, 0.0003):
        asyncio.get_running_loop().call_later(delay, task.cancel)


@pytest.fixture
def faithful_disk(monkeypatch):
    """Notes every fsync whose descriptor became another file's, or nobody's, while it ran."""
    broken = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        before = file_of(descriptor)
        threading.Event().wait(0.002)  # a disk that takes its time
        try:
            real(descriptor)
            after = file_of(descriptor)
        except OSError as exc:
            after = str(exc)
        if before != after.removesuffix(" (deleted)"):
            broken.append((before, after))

    monkeypatch.setattr(os, "fsync", fsync)
    return broken


async def fly_and_cancel(ground, digest, number, cancel) -> CancelledAt:
    """Let a flight with one follower run, and cancel it at its *number*th wait."""
    fetcher = Fetcher(ground.primary, has_own_identity=False)
    flight = Flight(digest, fetcher, ground.store, TAIL_BYTES, ground.primary.lane_rules)
    flight.sources.admit(BlobPull(A, digest), is_proven=False)
    running = CancelledAt(flight.run(), number, cancel)

    async def run() -> None:
        try:
            await running
        except asyncio.CancelledError:
            flight.fail(Unavailable("cancelled"))
            raise

    task = asyncio.create_task(run())
    with suppress(RegistryError):
        growing = await asyncio.shield(flight.opened)
        if growing.hold():
            with suppress(RegistryError):
                position = 0
                while position < growing.size:
                    position = await growing.visible_beyond(position)
                assert os.pread(growing.descriptor_number, growing.size, 0) == DATA
            growing.release()
    with suppress(asyncio.CancelledError, RegistryError):
        await task
    flight.close()
    return running


@pytest.mark.parametrize(
    "cancel",
    [at_once_cancelled, twice_cancelled, *(cancelled_after(ms) for ms in (0.5, 3, 6, 9))],
    ids=["at once", "twice", "0.5 ms later", "3 ms later", "6 ms later", "9 ms later"],
)
async def test_a_flight_may_be_cancelled_at_every_wait(ground, faithful_disk, cancel):
    """C2, C8: wherever it is cancelled, no descriptor and no spool file stays, what is visible is
    whole, no sync meets a descriptor that isn't its file's any more, and the follower isn't left
    waiting.
    """
    number, finished = 0, False
    while not finished:
        number += 1
        ground.primary.send = broken_after(100_000)
        data_path = ground.tree.layout.data(ground.primary.add(DATA))
        digest = ground.primary.add(DATA)
        async with asyncio.timeout(10):
            running = await fly_and_cancel(ground, digest, number, cancel)
        assert spooled(ground.tree) == [], "a flight that has ended isn't at work any more"
        assert open_files(ground.tree.layout.root) == []
        assert faithful_disk == []
        assert ground.primary.open_streams == 0
        if data_path.exists():
            assert data_path.read_bytes() == DATA
            data_path.unlink()
        await ground.tree.drop_link(A, LinkKind.LAYER, digest)
        finished = running.waits < number
    assert number > 3
