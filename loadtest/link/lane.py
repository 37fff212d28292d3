"""One direction of one connection: bytes are read when the gates have room, and sent when due.

States of reading: registered with the loop, in a gate's line, held (as much is on its way as the
window allows), read out. What was read is on its way: a queue of (due, item), an item being bytes
or how the stream ended.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from time import monotonic

from loadtest.link.gate import Gate

_CHUNK_BYTES = 65_536  # stays below malloc's mmap threshold: no page faults for each read
_CHUNK_SECONDS = 0.001  # one chunk is at most this much of the rate, so that shares are even
_LEAST_CHUNK_BYTES = 4_096
_EARLY_SECONDS = 0.0005  # half of the loop's timer resolution


class Ending(Enum):
    """How a direction ended: half-closed by its source, reset by its source, reset by its sink."""

    CLEAN = "clean"
    BROKEN = "broken"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class LaneTerms:
    """What a direction costs: the gates to pass, in order, then the delay."""

    gates: tuple[Gate, ...]
    delay_seconds: float
    window_bytes: int
    chunk_bytes: int


def chunk_bytes(rate_bytes_per_second: float | None) -> int:
    """Give the size of one read for a link of this rate."""
    if rate_bytes_per_second is None:
        return _CHUNK_BYTES
    share = int(rate_bytes_per_second * _CHUNK_SECONDS)
    return min(_CHUNK_BYTES, max(_LEAST_CHUNK_BYTES, share))


class Lane:
    """Carries bytes from *source* to *sink*; whoever owns the sockets closes them after `stop`.

    `count` gets the size of each chunk as it enters, and may stop the lane. `ended` is called
    once: when the end has reached the sink (a clean one as a half-close), or the sink has rejected
    what reached it.
    """

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        terms: LaneTerms,
        count: Callable[[int], None],
        ended: Callable[[Ending], None],
    ) -> None:
        self._source, self._sink, self._terms = source, sink, terms
        self._count, self._ended = count, ended
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | Ending]] = deque()
        self._queued_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_registered = self._is_held = self._is_read_out = self._is_blocked = False

    def start(self) -> None:
        """Read from now on."""
        self._advance(self._terms.gates)

    def stop(self) -> None:
        """Let go of both sockets at once; what is on its way is lost."""
        self._is_read_out = True
        self._unregister()
        if self._timer is not None:
            self._timer.cancel()
        if self._is_blocked:
            self._is_blocked = False
            self._loop.remove_writer(self._sink)
        self._queue.clear()

    def break_off(self) -> None:
        """Let the sink see a reset, behind what is already on its way."""
        if not self._is_read_out:
            self._end(Ending.BROKEN)

    def _advance(self, gates: tuple[Gate, ...]) -> None:
        """Read while *gates*, those still to pass, have room; else wait in the line of one."""
        while not (self._is_read_out or self._is_held):
            now = monotonic()
            for position, gate in enumerate(gates):
                if not gate.is_free(now):
                    self._unregister()
                    gate.stand_in_line(partial(self._advance, gates[position + 1 :]))
                    return
            if not self._read(now):
                self._register()
                return
            gates = self._terms.gates

    def _register(self) -> None:
        if not self._is_registered:
            self._is_registered = True
            self._loop.add_reader(self._source, self._advance, self._terms.gates)

    def _unregister(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self._loop.remove_reader(self._source)

    def _read(self, now: float) -> bool:
        """Take what has arrived, up to one chunk; False if nothing has."""
        try:
            data = self._source.recv(self._terms.chunk_bytes)
        except BlockingIOError:
            return False
        except OSError:
            self._end(Ending.BROKEN)
            return True
        if data:
            self._take(data, now)
        else:
            self._end(Ending.CLEAN)
        return True

    def _take(self, data: bytes, now: float) -> None:
        passed = max((gate.enter(len(data), now) for gate in self._terms.gates), default=now)
        self._queued_bytes += len(data)
        if self._queued_bytes >= self._terms.window_bytes:
            self._is_held = True
            self._unregister()
        self._send_at(passed + self._terms.delay_seconds, data)
        self._count(len(data))

    def _end(self, ending: Ending) -> None:
        self._is_read_out = True
        self._unregister()
        last = self._queue[-1][0] if self._queue else 0.0
        self._send_at(max(last, monotonic() + self._terms.delay_seconds), ending)

    def _send_at(self, due: float, item: bytes | Ending) -> None:
        self._queue.append((due, item))
        if self._timer is None and not self._is_blocked:
            self._arm()

    def _arm(self) -> None:
        wait_seconds = max(self._queue[0][0] - monotonic(), 0.0)
        self._timer = self._loop.call_later(wait_seconds, self._deliver)

    def _deliver(self) -> None:
        """Send what is due."""
        self._timer = None
        horizon = monotonic() + _EARLY_SECONDS
        while self._queue and self._queue[0][0] <= horizon:
            due, item = self._queue.popleft()
            if isinstance(item, Ending):
                self._finish(item)
                return
            rest = self._send(item)
            if rest:
                self._queue.appendleft((due, rest))
                break
        if self._queue and not self._is_blocked:
            self._arm()
        self._let_go()

    def _send(self, data: bytes) -> bytes:
        """Give what the sink didn't take; then it is called again when there is room."""
        try:
            sent = self._sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.stop()
            self._ended(Ending.REJECTED)
            return b""
        self._queued_bytes -= sent
        if sent == len(data):
            return b""
        if not self._is_blocked:
            self._is_blocked = True
            self._loop.add_writer(self._sink, self._on_writable)
        return data[sent:]

    def _on_writable(self) -> None:
        self._is_blocked = False
        self._loop.remove_writer(self._sink)
        self._deliver()

    def _let_go(self) -> None:
        if self._is_held and self._queued_bytes < self._terms.window_bytes:
            self._is_held = False
            self._advance(self._terms.gates)

    def _finish(self, ending: Ending) -> None:
        if ending is Ending.CLEAN:
            try:
                self._sink.shutdown(socket.SHUT_WR)
            except OSError:
                ending = Ending.BROKEN
        self._ended(ending)
