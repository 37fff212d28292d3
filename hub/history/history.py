"""The replication log: kept, queried, trimmed, and told of to whoever listens."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from hub.clock import Clock
from hub.database import Database
from hub.history import works
from hub.history.forms import Entry, LogsPage, LogsQuery
from hub.history.works import Change
from hub.instances import records
from hub.instances.forms import Status


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept."""

    keep_seconds: float
    max_entries: int


Listener = Callable[[Sequence[Change]], None]


class History:
    """The replication log of all regions."""

    def __init__(self, database: Database, limits: Limits, clock: Clock) -> None:
        self._database = database
        self.limits = limits
        self._clock = clock
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell *listener* of all changes, once they are durable."""
        self._listeners.append(listener)

    async def report(self, replica_id: str, status: Status, entries: Sequence[Entry]) -> int:
        """Keep what a replica says; durable when it returns. Give how many entries changed.

        Raises: DatabaseUnavailable: none of it was kept.
        """
        now = self._clock.wall()
        work = partial(_report, replica_id=replica_id, status=status, entries=entries, now=now)
        written = self._database.submit(work)
        written.add_done_callback(self._tell)  # also where the replica has gone meanwhile
        return len(await asyncio.shield(written))

    def _tell(self, written: "asyncio.Future[tuple[Change, ...]]") -> None:
        if written.cancelled() or written.exception() is not None or not written.result():
            return
        for listener in self._listeners:
            listener(written.result())

    async def page(self, query: LogsQuery) -> LogsPage:
        """Give some entries. Raises: DatabaseUnavailable."""
        return await self._database.read(partial(works.page, query=query))

    async def trim(self) -> int:
        """Remove what is past its time or too much, a step at a time; give how much that was.

        Raises: DatabaseUnavailable.
        """
        removed = 0
        while True:
            before = self._clock.wall() - self.limits.keep_seconds
            step = partial(works.trim, before=before, max_entries=self.limits.max_entries)
            number = await self._database.write(step)
            removed += number
            if number < works.TRIM_ENTRIES:
                return removed


def _report(
    connection: Connection, replica_id: str, status: Status, entries: Sequence[Entry], now: float
) -> tuple[Change, ...]:
    records.put_status(connection, replica_id, status, now)
    return works.put(connection, entries, now)
