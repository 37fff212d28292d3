"""The log: append in one order without gaps, read from a cursor, trim from the oldest on.

Events are numbered from 1. The newest is never trimmed, so that the next number can be told from
the table alone. An epoch names the log; one that was made anew or brought back has another.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from hub.clock import Clock
from hub.database import Database, DatabaseUnavailable
from hub.log import works
from hub.log.cursor import Extent
from hub.log.works import Appended, Entry, Repetition, Row, Stretch
from proxy.events.notification import Notification

MAX_WAITING = 10_000
MAX_IN_ONE_BATCH = 1_000

T = TypeVar("T")
Listener = Callable[[Sequence[Entry]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept, and for how long the same event is the same one."""

    keep_seconds: float
    max_events: int
    dedupe_seconds: float


@dataclass(slots=True)
class _Waiting:
    """Rows to be appended, and who waits for that."""

    rows: list[Row]
    done: "asyncio.Future[Appended]"

    def succeed(self, appended: Appended) -> None:
        if not self.done.done():
            self.done.set_result(appended)

    def fail(self, exc: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(exc)


class Log:
    """The event log in the database. `open` it first."""

    def __init__(self, database: Database, limits: Limits, clock: Clock) -> None:
        self._database = database
        self.limits = limits
        self._clock = clock
        self._listeners: list[Listener] = []
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self.extent = Extent("", 0, 0)

    async def open(self) -> None:
        """Learn what there is; the first time, name the log."""
        self.extent = await self._database.write(works.look)

    def listen(self, listener: Listener) -> None:
        """Tell *listener* of everything that is appended, in order, once it is durable."""
        self._listeners.append(listener)

    async def append(self, notifications: Iterable[Notification]) -> Appended:
        """Put notifications at the end, those left out that came before; durable when it returns.

        What comes while others are being written goes into one transaction, a batch at a time.

        Raises: DatabaseUnavailable: none of them was.
        """
        now = self._clock.wall()
        rows = [works.row_of(notification, now) for notification in notifications]
        if len(self._waiting) >= MAX_WAITING:
            raise DatabaseUnavailable
        waiting = _Waiting(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await asyncio.shield(waiting.done)

    async def _write_all(self) -> None:
        while batch := self._next_batch():
            since = self._clock.wall() - self.limits.dedupe_seconds
            groups = [each.rows for each in batch]
            try:
                results = await self._write(
                    partial(works.append, groups=groups, known_since=since), self._tell_all
                )
            except Exception as exc:  # noqa: BLE001  # those who wait get it
                for each in batch:
                    each.fail(exc)
                continue
            for each, result in zip(batch, results, strict=True):
                each.succeed(result)
        self._writing = None

    def _next_batch(self) -> list["_Waiting"]:
        """Take what waits, from the oldest on: as many rows as go into a transaction."""
        number = rows = 0
        for each in self._waiting:
            rows += len(each.rows)
            if number and rows > MAX_IN_ONE_BATCH:
                break
            number += 1
        batch = self._waiting[:number]
        del self._waiting[:number]
        return batch

    async def close(self) -> None:
        """Finish what waits."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))

    async def try_out(self) -> None:
        """Write something durably that needs more room than an event does.

        Raises: DatabaseUnavailable: events couldn't be kept either.
        """
        await self._database.write(works.try_out)

    async def append_again(self, stretch: Stretch, limit: int) -> Repetition:
        """Put a stretch of the log at its end once more, the oldest *limit* events of it.

        Raises: DatabaseUnavailable: none of them was.
        """
        now = self._clock.wall()
        again = partial(works.append_again, stretch=stretch, limit=limit, now=now)
        return await self._write(again, lambda repetition: self._tell(repetition.entries))

    async def _write(self, work: Callable[[Connection], T], tell: Callable[[T], None]) -> T:
        """Give what a work gives; listeners are told in the order of commits, come what may."""

        def on_written(written: "asyncio.Future[T]") -> None:
            if not written.cancelled() and written.exception() is None:
                tell(written.result())

        written = self._database.submit(work)
        written.add_done_callback(on_written)
        return await asyncio.shield(written)

    def _tell_all(self, results: Sequence[Appended]) -> None:
        self._tell([entry for appended in results for entry in appended.entries])

    def _tell(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        extent = self.extent
        self.extent = Extent(extent.epoch, extent.floor, entries[-1].seq)
        for listener in self._listeners:
            listener(entries)

    async def read(self, after: int, upto: int, limit: int) -> list[Entry]:
        """Give the entries that follow a number, up to another. Raises: DatabaseUnavailable."""
        return await self._database.read(partial(works.read, after=after, upto=upto, limit=limit))

    async def trim(self) -> int:
        """Remove what is past its time or too much, a step at a time; give how much that was.

        Raises: DatabaseUnavailable.
        """
        removed = 0
        while True:
            before = self._clock.wall() - self.limits.keep_seconds
            step = partial(works.trim, before=before, max_events=self.limits.max_events)
            number, floor = await self._database.write(step)
            self.extent = Extent(self.extent.epoch, floor, self.extent.head)
            removed += number
            if number < works.TRIM_EVENTS:
                return removed
