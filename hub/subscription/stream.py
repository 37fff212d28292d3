"""One replica's stream: what waits to be written to it, within bounds."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable


class Stream:
    """A queue of bytes for one connection.

    One that is cut gives nothing any more. One that is behind gives nothing of the log: its reader
    has to catch up from `position` on, the last event that was given out, and then to `join`. So it
    is at first, and again when too much waits.
    """

    def __init__(self, member_id: str, max_bytes: int, position: int) -> None:
        self.member_id = member_id
        self.position = position
        self.is_cut = False
        self.is_ended = False
        self.is_behind = True
        self.on_cut: Callable[[], None] | None = None
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        self._words: list[bytes] = []
        self._bytes = 0
        self._upto = position
        self._wake = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will come."""
        return self.is_cut or (self.is_ended and not self._chunks)

    def join(self, position: int) -> None:
        """Take what follows an event from now on: everything up to there was given out."""
        self.position = self._upto = position
        self.is_behind = False

    def put(self, chunk: bytes, upto: int) -> bool:
        """Queue what follows in the log, up to an event, or a heartbeat there; False: too much
        waits before it, that is dropped, and the stream is behind from now on.

        The chunk itself may be of any size: a replay is told in one, to those too who keep up.
        """
        if self.is_cut or self.is_ended or self.is_behind:
            return True
        self._wake.set()
        if self._bytes >= self._max_bytes:
            self.is_behind = True
            self._upto = self.position
            self._drop()
            return False
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        self._upto = upto
        return True

    def say(self, word: bytes) -> None:
        """Queue what isn't of the log, before it; the same word waits once."""
        if word not in self._words and not self.is_cut and not self.is_ended:
            self._words.append(word)
            self._wake.set()

    def cut(self) -> None:
        """End it at once: what waits is dropped."""
        self.is_cut = True
        self._drop()
        self._wake.set()
        if self.on_cut is not None:  # whoever writes may be waiting for room
            self.on_cut()

    def end(self, last: bytes = b"") -> None:
        """End it once what waits, and *last*, is written."""
        if not self.is_ended and not self.is_cut:
            self._chunks.append(last)
            self.is_ended = True
            self._wake.set()

    def _drop(self) -> None:
        self._chunks.clear()
        self._bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give what was queued, several chunks in one where they waited."""
        while not self.is_cut:
            if self._chunks or self._words:
                joined = b"".join((*self._words, *self._chunks))
                self._words.clear()
                self._chunks.clear()
                self._bytes = 0
                self.position = self._upto
                yield joined
            elif self.is_ended or self.is_behind:
                return
            else:
                self._wake.clear()
                await self._wake.wait()
