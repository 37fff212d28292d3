"""Time: one clock for intervals, one for what is written down."""

import time
from typing import Protocol

NOW = float("inf")
"""Stands for `moment()` at the time it is looked at."""


def moment() -> float:
    """Give a time for the order of events in this process alone."""
    return time.monotonic()


class Clock(Protocol):
    """Both clocks, in seconds."""

    def now(self) -> float:
        """Give a time that only goes forward and counts sleep; for ages and deadlines."""
        ...

    def wall(self) -> float:
        """Give the time of day; for what outlives this process."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()
