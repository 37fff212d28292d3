"""Time: one clock for ages and limits, one for what is written down."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Both, in seconds."""

    def now(self) -> float:
        """Give a time that only goes forward and counts sleep."""
        ...

    def wall(self) -> float:
        """Give the time of day, since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        return time.time()
