"""One replica's stream: what waits to be written to it, within bounds."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable


class Stream:
    """A queue of bytes for one connection. One that is cut gives nothing any more."""

    def __init__(self, member_id: str, max_bytes: int) -> None:
        self.member_id = member_id
        self.is_cut = False
        self.on_cut: Callable[[], None] | None = None
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._is_ended = False
        self._wake = asyncio.Event()

    def put(self, chunk: bytes) -> bool:
        """Queue a chunk; False: too much waits before it, and the stream is cut.

        The chunk itself may be of any size: a replay is told in one, to those too who keep up.
        """
        if self.is_cut or self._is_ended:
            return True
        if self._bytes >= self._max_bytes:
            self.cut()
            return False
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        self._wake.set()
        return True

    def cut(self) -> None:
        """End it at once: what waits is dropped."""
        self.is_cut = True
        self._chunks.clear()
        self._wake.set()
        if self.on_cut is not None:  # whoever writes may be waiting for room
            self.on_cut()

    def end(self, last: bytes = b"") -> None:
        """End it once what waits, and *last*, is written."""
        if not self._is_ended and not self.is_cut:
            self._chunks.append(last)
            self._is_ended = True
            self._wake.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give what was queued, several chunks in one where they waited."""
        while not self.is_cut:
            if self._chunks:
                joined = b"".join(self._chunks)
                self._chunks.clear()
                self._bytes = 0
                yield joined
            elif self._is_ended:
                return
            else:
                self._wake.clear()
                await self._wake.wait()
