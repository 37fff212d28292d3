"""A circuit breaker for each address: a way that keeps failing is left alone for a while."""

from collections.abc import Callable
from enum import StrEnum

FAILURES_TO_OPEN = 5
PROBE_EVERY_SECONDS = 10.0


class BreakerState(StrEnum):
    """CLOSED: used. OPEN: left alone. PROBING: one request is finding out."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Opens after consecutive failures; then lets one request in ten seconds through."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._next_probe_at = 0.0
        self.state = BreakerState.CLOSED

    def may_try(self) -> bool:
        """Say whether this way may be used now; saying yes to a probe takes the probe."""
        if self.state is BreakerState.CLOSED:
            return True
        if self._clock() < self._next_probe_at:
            return False
        self.state = BreakerState.PROBING
        self._next_probe_at = self._clock() + PROBE_EVERY_SECONDS
        return True

    def succeeded(self) -> None:
        """Note an answer of any kind: the way works."""
        self._failures = 0
        self.state = BreakerState.CLOSED

    def failed(self) -> None:
        """Note that there was no answer."""
        self._failures += 1
        if self.state is BreakerState.PROBING or self._failures >= FAILURES_TO_OPEN:
            self.state = BreakerState.OPEN
            self._next_probe_at = self._clock() + PROBE_EVERY_SECONDS
