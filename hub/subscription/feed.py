"""The live edge of the log: what is appended goes out in ticks, encoded once for all streams.

The first event after a pause goes out at once; what follows within a tick goes together. `position`
is the last event that has gone out: a stream that has everything up to there may join.
"""

import asyncio
import random
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from hub.log.log import Log
from hub.log.works import Entry
from hub.subscription import sse
from hub.subscription.stream import Stream
from hub.telemetry import HubTelemetry

TICK_SECONDS = 0.05
RECENT_BYTES = 4 << 20
PORTION_BYTES = 256 << 10
MAX_STREAMS_OF_ONE = 4
"""A replica has one; for a moment two, when it is replaced, or comes back before it is missed."""


class Feed:
    """All streams, and what they are told."""

    def __init__(self, log: Log, buffer_bytes: int, telemetry: HubTelemetry) -> None:
        self._log = log
        self._buffer_bytes = buffer_bytes
        self._telemetry = telemetry
        self._streams: list[Stream] = []
        self._upcoming: list[Entry] = []
        self._recent: deque[tuple[int, bytes]] = deque()
        self._recent_bytes = 0
        self._wake = asyncio.Event()
        self.position = log.extent.head
        log.listen(self._note)

    def __len__(self) -> int:
        return len(self._streams)

    def following(self) -> frozenset[str]:
        """Give the ids of the replicas that have a stream."""
        return frozenset(stream.member_id for stream in self._streams)

    # --- joining ----------------------------------------------------------------------------------

    @contextmanager
    def joined(self, member_id: str, after: int) -> Iterator[Stream]:
        """Give a stream of what follows an event, for the length of the block."""
        own = [stream for stream in self._streams if stream.member_id == member_id]
        for oldest in own[: max(0, len(own) - MAX_STREAMS_OF_ONE + 1)]:
            oldest.cut()
        stream = Stream(member_id, self._buffer_bytes, after)
        self._streams.append(stream)
        try:
            yield stream
        finally:
            self._streams.remove(stream)

    def recent(self, after: int) -> tuple[int, bytes] | None:
        """Give some of what went out after an event, and up to where; None: it isn't in memory.

        That is a copy for one stream, which may be long in writing it.
        """
        if not self._recent or after < self._recent[0][0] - 1:
            return None
        position, chunks, size = after, list[bytes](), 0
        for seq, chunk in islice(self._recent, after - self._recent[0][0] + 1, None):
            if size >= PORTION_BYTES:
                break
            position, size = seq, size + len(chunk)
            chunks.append(chunk)
        return position, b"".join(chunks)

    # --- telling ----------------------------------------------------------------------------------

    async def run(self, heartbeat_seconds: float) -> None:
        """Send ticks and heartbeats, for as long as this runs."""
        while True:
            try:
                async with asyncio.timeout(heartbeat_seconds):
                    await self._wake.wait()
            except TimeoutError:
                self._put(sse.heartbeat(self.position))
                continue
            self.tick()
            self._wake.clear()
            await asyncio.sleep(TICK_SECONDS)

    def _note(self, entries: Sequence[Entry]) -> None:
        self._upcoming.extend(entries)
        self._wake.set()

    def tick(self) -> None:
        """Send what was appended since the last tick."""
        entries, epoch = self._upcoming, self._log.extent.epoch
        if not entries:
            return
        encoded = [sse.notice(epoch, entry) for entry in entries]
        self._upcoming = []  # not before: what couldn't be sent is sent with the next tick
        self._remember(entries, encoded)
        self.position = entries[-1].seq
        self._put(b"".join(encoded))

    def _remember(self, entries: Sequence[Entry], encoded: Sequence[bytes]) -> None:
        for entry, chunk in zip(entries, encoded, strict=True):
            self._recent.append((entry.seq, chunk))
            self._recent_bytes += len(chunk)
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popleft()[1])

    def _put(self, chunk: bytes) -> None:
        for stream in self._streams:
            if not stream.put(chunk, self.position):
                self._telemetry.metrics.late_streams.inc()

    def note_cut(self, member_id: str) -> None:
        """Tell of a stream that was cut, since nothing of it was read."""
        self._telemetry.metrics.cut_streams.inc()
        self._telemetry.log.warning("stream.cut", replica=member_id)

    def tell_settings(self, member_id: str | None = None) -> None:
        """Say that what a replica is told of itself has changed; None: that of all of them."""
        chunk = sse.named("settings", {})
        for stream in self._streams:
            if member_id in (None, stream.member_id):
                stream.say(chunk)

    def end(self, member_id: str) -> None:
        """End the streams of a replica that may follow no more."""
        for stream in self._streams:
            if stream.member_id == member_id:
                stream.end()

    def drain(self, within_seconds: float) -> None:
        """End all streams; replicas come back spread over a time."""
        self.tick()
        for stream in self._streams:
            stream.end(sse.retry(random.uniform(0, within_seconds)))  # noqa: S311  # no secret
