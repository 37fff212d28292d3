"""A file that is read while it grows.

Rules:
- `arrived` bytes, from the start and without a hole, are in the file. It only rises. More may be
  here behind a hole: readers of a part get those.
- Until the digest has agreed, the last `tail` bytes are held back (`visible` stays below them),
  so no client can ever have a complete answer that is wrong.
- It ends once: verified, or failed with an error that every reader gets.
- The descriptor is closed when the owner and the last reader have let go of it.

Nothing here awaits between reading this state and changing it.
"""

import asyncio
import os
from collections.abc import Callable

from proxy.oci.errors import RegistryError
from proxy.oci.span import ByteSpan
from proxy.registry.segments import SpanSet

WAKE_AT_ONCE_WAITERS = 32
WAKE_LATER_SECONDS = 0.02


class GrowingFile:
    """One open file, its progress and those who wait for it."""

    def __init__(self, descriptor_number: int, size: int, tail_bytes: int) -> None:
        self.descriptor_number = descriptor_number
        self.size = size
        self.arrived = 0
        self._here = SpanSet()
        self._tail_bytes = tail_bytes
        self._is_verified = False
        self._error: RegistryError | None = None
        self._holders = 1
        self._waiters: set[asyncio.Future[None]] = set()
        self._part_waiters: set[asyncio.Future[None]] = set()
        self._wake_timer: asyncio.TimerHandle | None = None
        self.on_last_reader_left: Callable[[], None] = lambda: None
        self.on_read_failed: Callable[[], None] = lambda: None
        self.on_wanted: Callable[[int], None] = lambda _: None

    @property
    def visible(self) -> int:
        """Bytes that may be sent."""
        if self._is_verified:
            return self.size
        return max(0, min(self.arrived, self.size - self._tail_bytes))

    @property
    def readers(self) -> int:
        """How many besides the owner hold the file."""
        return self._holders - 1

    def advance(self, size_bytes: int) -> None:
        """Note that so many bytes more are in the file, behind those that are."""
        self.note(ByteSpan(self.arrived, self.arrived + size_bytes))

    def note(self, span: ByteSpan) -> None:
        """Note that the bytes of *span* are in the file."""
        self._here.add(span)
        arrived = self._here.end_of(0)
        if arrived == self.arrived and not self._part_waiters:
            return
        self.arrived = arrived
        if len(self._waiters) + len(self._part_waiters) <= WAKE_AT_ONCE_WAITERS:
            self._wake()
        elif self._wake_timer is None:
            loop = asyncio.get_running_loop()
            self._wake_timer = loop.call_later(WAKE_LATER_SECONDS, self._wake)

    def verified(self) -> None:
        """Note that size and digest agree: everything may be sent."""
        self._is_verified = True
        self._wake()

    def failed(self, error: RegistryError) -> None:
        """Note that no more will come; what is already visible stays so."""
        if not self._is_verified and self._error is None:
            self._error = error
            self._wake()

    async def visible_beyond(self, offset: int, *, is_part: bool = False) -> int:
        """Wait until bytes after *offset* may be sent; give how far.

        Raises: RegistryError: the error this file failed with.
        """
        while True:
            limit = self._limit(offset, is_part=is_part)
            if limit > offset:
                return limit
            if self._error is not None:
                raise self._error
            if is_part:
                self.on_wanted(offset)
            await self._next(self._part_waiters if is_part else self._waiters)

    def _limit(self, offset: int, *, is_part: bool) -> int:
        return max(self._here.end_of(offset), self.visible) if is_part else self.visible

    async def _next(self, waiters: set[asyncio.Future[None]]) -> None:
        """Wait for the next change."""
        waiter = asyncio.get_running_loop().create_future()
        waiters.add(waiter)
        try:
            await waiter
        finally:
            waiters.discard(waiter)

    def _wake(self) -> None:
        if self._wake_timer is not None:
            self._wake_timer.cancel()
            self._wake_timer = None
        for waiters in (self._waiters, self._part_waiters):
            for waiter in tuple(waiters):
                if not waiter.done():
                    waiter.set_result(None)
            waiters.clear()

    def read_failed(self) -> None:
        """Note that bytes that are here couldn't be read."""
        self.on_read_failed()

    def hold(self) -> bool:
        """Take part as a reader; False if it is closed: its descriptor may be another file's."""
        if self._holders == 0:
            return False
        self._holders += 1
        return True

    def release(self) -> None:
        """Let go; whoever is last closes the file."""
        self._holders -= 1
        if self._holders == 0:
            os.close(self.descriptor_number)
        elif self._holders == 1:
            self.on_last_reader_left()
