"""How far behind a region is: what its replica says of itself, to the hub and to its operators."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proxy import __version__
from proxy.registry.clock import Clock
from proxy.replication.journal import Journal
from proxy.replication.work import Trigger

_NEWS = frozenset({Trigger.EVENT, Trigger.REPLAY})


class Phase(StrEnum):
    """What a replica is doing, as the hub calls it."""

    STARTING = "starting"
    BACKFILLING = "backfilling"
    RUNNING = "running"
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Status:
    """lag_seconds: the age of the oldest event that isn't complete here; 0: all are."""

    phase: Phase
    cursor: str | None
    lag_seconds: float
    queue: int
    bytes_behind: int
    at: float

    def as_document(self) -> dict[str, Any]:
        """Give it as the hub reads it."""
        return {
            "state": self.phase,
            "cursor": self.cursor,
            "lag_seconds": round(self.lag_seconds, 3),
            "queue": self.queue,
            "bytes_behind": self.bytes_behind,
            "version": __version__,
            "at": self.at,
        }


class StatusOf:
    """Looks at a replica's replication. *ahead* tells the bytes that copies under way lack."""

    def __init__(
        self, journal: Journal, clock: Clock, phase: Callable[[], Phase], ahead: Callable[[], int]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._phase = phase
        self._ahead = ahead

    async def now(self) -> Status:
        """Give how it is now."""
        backlog = await self._journal.backlog()
        cursor = await self._journal.cursor()
        wall = self._clock.wall()
        oldest = [since for trigger, (_, since) in backlog.items() if trigger in _NEWS]
        return Status(
            self._phase(),
            None if cursor is None else str(cursor),
            max((wall - since for since in oldest), default=0.0),
            sum(count for count, _ in backlog.values()),
            self._ahead(),
            wall,
        )
