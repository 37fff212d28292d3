"""Pace: how fast bytes may come that nobody waits for.

A bucket that fills at the rate and holds a quarter of a second of it. Whoever takes more than is
there leaves a debt, and waits until that is paid: so pieces of any size go through.
"""

import asyncio
from collections.abc import Callable

BURST_SECONDS = 0.25


class Pace:
    """Shared by all that is to be paced together. `bytes_per_second` may change; 0: no limit."""

    def __init__(self, bytes_per_second: int, now: Callable[[], float]) -> None:
        self.bytes_per_second = bytes_per_second
        self._now = now
        self._level = 0.0
        self._at = now()

    async def take(self, size: int) -> None:
        """Take bytes that have come; wait if they came too fast."""
        seconds = self._debt_seconds(size)
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _debt_seconds(self, size: int) -> float:
        rate = self.bytes_per_second
        if not rate:
            return 0.0
        now = self._now()
        self._level = min(rate * BURST_SECONDS, self._level + (now - self._at) * rate) - size
        self._at = now
        return -self._level / rate
