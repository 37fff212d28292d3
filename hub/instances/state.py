"""The states of a replica instance: a function of what is stored, what was reported, and the time.

Pending      made, and has not reported yet, or reports that it is starting
Backfilling  copies what was there before it
Running      follows the event log
Unreachable  has reported, and not within `unreachable_after`
Draining     is to be deleted: may follow no more, and has time to say that it drained
Deleted      drained, or its time for that is over; the token counts for nothing
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What operators see."""

    PENDING = "Pending"
    BACKFILLING = "Backfilling"
    RUNNING = "Running"
    UNREACHABLE = "Unreachable"
    DRAINING = "Draining"
    DELETED = "Deleted"


OVER = (State.DRAINING, State.DELETED)
"""Those of a replica that may follow no more."""


class Reported(StrEnum):
    """What a replica says of itself."""

    STARTING = "starting"
    BACKFILLING = "backfilling"
    RUNNING = "running"
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a replica's life; instants since 1970, None: it hasn't happened."""

    reported: Reported | None = None
    reported_at: float | None = None
    draining_at: float | None = None
    deleted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence means nothing, and how long a replica may take to drain."""

    unreachable_seconds: float
    drain_seconds: float


_BY_REPORT = {
    Reported.STARTING: State.PENDING,
    Reported.BACKFILLING: State.BACKFILLING,
    Reported.RUNNING: State.RUNNING,
    # A replica that stops on its own says so with its last reports, and is soon Unreachable.
    Reported.DRAINING: State.RUNNING,
    Reported.DRAINED: State.UNREACHABLE,
}


def state_of(life: Life, now: float, patience: Patience, listening_since: float = 0.0) -> State:
    """Give the state at *now*.

    listening_since: when this hub began to listen: silence before that was the hub's own.
    """
    if life.deleted_at is not None:
        return State.DELETED
    if life.draining_at is not None:
        has_drained = _has_drained(life, life.draining_at, now, patience)
        return State.DELETED if has_drained else State.DRAINING
    if life.reported is None or life.reported_at is None:
        return State.PENDING
    if now - max(life.reported_at, listening_since) > patience.unreachable_seconds:
        return State.UNREACHABLE
    return _BY_REPORT[life.reported]


def _has_drained(life: Life, draining_at: float, now: float, patience: Patience) -> bool:
    """Say whether a replica that is to be deleted has said that it drained, or can't any more."""
    if life.reported_at is None or now - draining_at > patience.drain_seconds:
        return True
    return life.reported is Reported.DRAINED and life.reported_at >= draining_at
