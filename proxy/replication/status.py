"""How far behind a region is: what its replica says of itself, to the hub and to its operators."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proxy import __version__
from proxy.oci.errors import StoreUnavailable
from proxy.registry.clock import Clock
from proxy.replication.backfill import Backfill, BackfillStatus
from proxy.replication.copying import Ahead
from proxy.replication.journal import Journal
from proxy.replication.work import Trigger

LOOK_EVERY_SECONDS = 2.0
RATE_WINDOW_SECONDS = 10.0

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
    eta_seconds: float | None
    dead: int
    backfill: BackfillStatus
    at: float

    def as_document(self) -> dict[str, Any]:
        """Give it as the hub reads it."""
        return {
            "state": self.phase,
            "cursor": self.cursor,
            "lag_seconds": round(self.lag_seconds, 3),
            "queue": self.queue,
            "bytes_behind": self.bytes_behind,
            "eta_seconds": self.eta_seconds or self.backfill.eta_seconds,
            "backfill": {
                "done": self.backfill.done,
                "total": self.backfill.total,
                "bytes_done": self.backfill.bytes_done,
                "bytes_total": self.backfill.bytes_total or self.backfill.bytes_done,
            },
            "version": __version__,
            "at": self.at,
        }


class StatusOf:
    """Looks at a replica's replication every few seconds; `latest` is what it last saw."""

    def __init__(
        self,
        journal: Journal,
        backfill: Backfill,
        ahead: Ahead,
        phase: Callable[[], Phase],
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._backfill = backfill
        self._clock = clock
        self._phase = phase
        self._ahead = ahead
        self._rate = 0.0
        self._window = (clock.now(), 0)
        standing = (None, 0.0, 0, 0, None, 0, backfill.status)
        self.latest = Status(Phase.STARTING, *standing, clock.wall())

    async def run(self) -> None:
        """Look for ever."""
        while True:
            with suppress(StoreUnavailable):  # what was seen last stands
                await self.now()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _eta_seconds(self) -> float | None:
        """Give how long what is known to be missing takes at the rate of the last while."""
        now, seen = self._clock.now(), self._ahead.seen_bytes
        since, before = self._window
        if now - since >= RATE_WINDOW_SECONDS:
            self._rate = (seen - before) / (now - since)
            self._window = (now, seen)
        if not self._ahead.size_bytes:
            return None
        return round(self._ahead.size_bytes / self._rate, 1) if self._rate else None

    async def now(self) -> Status:
        """Give how it is now."""
        backlog = await self._journal.backlog()
        cursor = await self._journal.cursor()
        wall = self._clock.wall()
        oldest = [min(wall, since) for trigger, (_, since) in backlog.items() if trigger in _NEWS]
        self.latest = Status(
            self._phase(),
            None if cursor is None else str(cursor),
            max((wall - since for since in oldest), default=0.0),
            sum(count for count, _ in backlog.values()),
            self._ahead.size_bytes,
            self._eta_seconds(),
            await self._journal.dead_count(),
            self._backfill.status,
            wall,
        )
        return self.latest
