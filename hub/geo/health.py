"""How a region looks, from checks of it: pure.

An answer that is wrong is a sick region. No answer may be the hub's own way there: it is excused
while the region's replica reports. A manifest that came whole counts more than a `ready` that gave
no answer, since that is what clients ask for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hub.geo.forms import CheckView, HealthView, What


class Outcome(StrEnum):
    """What came of a check. CLOSED: the region's access list keeps the hub itself out."""

    PASSED = "passed"
    WRONG = "wrong"
    SILENT = "silent"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Check:
    """One look at a region in one way."""

    what: What
    address: str
    outcome: Outcome
    error: str
    at: float
    seconds: float

    def as_view(self) -> CheckView:
        """Give it as operators see it."""
        is_ok = self.outcome is Outcome.PASSED
        return CheckView(self.what, self.address, is_ok, self.error, self.at, self.seconds)


@dataclass(frozen=True, slots=True)
class Health:
    """How a region stands. since: when that began, None: it was so from the start."""

    is_up: bool = True
    since: float | None = None
    checks: tuple[Check, ...] = ()
    is_excused: bool = False

    def as_view(self) -> HealthView:
        """Give it as operators see it."""
        checks = tuple(each.as_view() for each in self.checks)
        return HealthView(self.is_up, self.since, checks, self.is_excused)


def verdict(checks: Sequence[Check]) -> Outcome:
    """Give what the checks of one round say of a region: PASSED, WRONG or SILENT."""
    if not checks:
        return Outcome.PASSED
    ready = _best(each.outcome for each in checks if each.what is What.READY)
    canary = _best(each.outcome for each in checks if each.what is What.CANARY)
    if Outcome.WRONG in (ready, canary):
        return Outcome.WRONG
    if canary is Outcome.PASSED or (canary in (None, Outcome.CLOSED) and ready is Outcome.PASSED):
        return Outcome.PASSED
    return Outcome.SILENT


_FROM_THE_BEST = (Outcome.PASSED, Outcome.WRONG, Outcome.CLOSED, Outcome.SILENT)


def _best(outcomes: Iterable[Outcome]) -> Outcome | None:
    """Give the outcome that counts of several addresses; None: there is none."""
    return min(outcomes, key=_FROM_THE_BEST.index, default=None)
