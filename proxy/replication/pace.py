"""How often the hub is asked, and how long it is left alone after a break: never all at once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random, SystemRandom

MAX_ASKED_SECONDS = 300.0
REFUSED_SECONDS = 300.0
_MAX_DOUBLINGS = 16

Pause = Callable[[float, asyncio.Event], Awaitable[None]]
"""Waits so many seconds, or until it is woken."""


async def until_woken(seconds: float, wake: asyncio.Event) -> None:
    """Wait until *wake* is set, no longer than *seconds*; what woke is used up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
    wake.clear()


@dataclass(frozen=True, slots=True)
class Pace:
    """Full jitter: anything between nothing and a limit that doubles with each failure in a row.

    The first limit is wide enough for hundreds of replicas whose hub was restarted.
    """

    first_seconds: float = 5.0
    longest_seconds: float = 60.0
    random: Random = field(default_factory=SystemRandom)
    pause: Pause = until_woken

    def seconds(self, failures: int, asked_seconds: float = 0.0) -> float:
        """Give how long to wait after so many failures in a row, on top of what the hub asks."""
        doublings = min(max(0, failures), _MAX_DOUBLINGS)
        limit = min(self.longest_seconds, self.first_seconds * 2**doublings)
        asked_seconds = min(max(0.0, asked_seconds), MAX_ASKED_SECONDS)
        return asked_seconds + self.random.uniform(0.0, limit)

    def seconds_after_refusal(self) -> float:
        """Give how long to wait after a refusal, which hardly goes away by itself."""
        return self.random.uniform(REFUSED_SECONDS / 2, REFUSED_SECONDS)

    def part_of(self, seconds: float) -> float:
        """Give a little less than *seconds*, so that what all do regularly spreads."""
        return seconds * self.random.uniform(0.8, 1.0)
