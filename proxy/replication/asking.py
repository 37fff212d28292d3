"""Asking: questions that nobody waits for, so many a second, fewer if the primary says so.

An answer that asks for less (429, 503 and their like) makes the rate half of what it was and is
waited out; each good answer brings back a tenth. A question that meets it again and again is given
up, and so is one that nobody answers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.oci.errors import Unavailable

MAX_TRIES = 3
MAX_PAUSE_SECONDS = 300.0
SLOWEST_FACTOR = 64.0

T = TypeVar("T")


class Asking:
    """Shared by all whose questions are to be paced together."""

    def __init__(
        self,
        per_second: float,
        now: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._least_gap = 1.0 / per_second
        self._gap = self._least_gap
        self._now = now
        self._pause = pause
        self._next_at = float("-inf")
        self._quiet_until = float("-inf")

    @property
    def per_second(self) -> float:
        """How many questions a second there may be now."""
        return 1.0 / self._gap

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask when it is this question's turn; give the answer.

        Raises: Unavailable: nobody answers, or only to ask for less. Whatever else the answer is.
        """
        error: Unavailable | None = None
        for _ in range(MAX_TRIES):
            await self._turn()
            try:
                answer = await question()
            except Unavailable as exc:
                if not exc.is_answered:
                    raise
                error = exc
                self._slow_down(exc.retry_after_seconds)
            else:
                self._gap = max(self._least_gap, self._gap * 0.9)
                return answer
        raise error or Unavailable

    async def _turn(self) -> None:
        """Wait until the turn comes; it comes later if the primary asks for less meanwhile."""
        at = self._booked()
        while (seconds := at - self._now()) > 0:
            await self._pause(seconds)
            if at < self._quiet_until:
                at = self._booked()

    def _booked(self) -> float:
        at = max(self._next_at, self._now(), self._quiet_until)
        self._next_at = at + self._gap
        return at

    def _slow_down(self, seconds: float) -> None:
        self._gap = min(self._gap * 2, self._least_gap * SLOWEST_FACTOR)
        until = self._now() + min(seconds, MAX_PAUSE_SECONDS)
        self._quiet_until = max(self._quiet_until, until)
