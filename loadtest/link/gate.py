"""The capacity of a link: bytes pass a gate one after the other, each for 1/rate seconds.

Who finds the gate full stands in line and is called when it is his turn; one turn is one chunk,
so connections share the rate evenly. Time lost because this process was late while somebody stood
in line is caught up (to a bound), so the mean rate is right on a busy machine too.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic

_SLACK_SECONDS = 0.004  # what may have entered and not passed: timers of the loop are 1 ms apart
_CATCH_UP_SECONDS = 0.020


class Gate:
    """One direction's capacity in bytes a second, for all that share it; None is unlimited."""

    def __init__(self, rate_bytes_per_second: float | None) -> None:
        self._rate = rate_bytes_per_second
        self._free_at_seconds = 0.0
        self._line: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_catching_up = False

    def is_free(self, now_seconds: float) -> bool:
        """Whether a chunk may enter now without overtaking somebody."""
        return not self._line and self._has_room(now_seconds)

    def enter(self, size_bytes: int, now_seconds: float) -> float:
        """Give the time at which the last of *size_bytes* has passed, in monotonic seconds."""
        if self._rate is None:
            return now_seconds
        grace = _CATCH_UP_SECONDS if self._is_catching_up else 0.0
        start = max(self._free_at_seconds, now_seconds - grace)
        self._free_at_seconds = start + size_bytes / self._rate
        return max(self._free_at_seconds, now_seconds)

    def stand_in_line(self, turn: Callable[[], None]) -> None:
        """Call *turn* once when a chunk may enter."""
        self._line.append(turn)
        self._arm()

    def _has_room(self, now_seconds: float) -> bool:
        return self._rate is None or self._free_at_seconds - now_seconds < _SLACK_SECONDS

    def _arm(self) -> None:
        if self._timer is None:
            wait_seconds = self._free_at_seconds - _SLACK_SECONDS / 2 - monotonic()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(wait_seconds, 0.0), self._let_in)

    def _let_in(self) -> None:
        """Give turns until the gate is full again; a turn that finds no data costs nothing."""
        self._timer = None
        self._is_catching_up = True
        while self._line and self._has_room(monotonic()):
            self._line.popleft()()
        self._is_catching_up = False
        if self._line:
            self._arm()
