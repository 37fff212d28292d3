"""The log: append in one order without gaps, read from a cursor, trim from the oldest on.

Events are numbered from 1. The newest is never trimmed, so that the next number can be told from
the table alone. An epoch names the log; one that was made anew or brought back has another.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, delete, func, insert, select

from hub.clock import Clock
from hub.database import Database
from hub.facts import put_fact, read_fact
from hub.log.cursor import Extent
from hub.schema import events
from proxy.events.notification import Notification
from proxy.events.wire import event_to_json, to_json

TRIM_EVENTS = 1_000
EPOCH = "epoch"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the log. body: the notification's JSON form; received_at: since 1970."""

    seq: int
    received_at: float
    body: str


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of some notifications: new entries, and how many had come before."""

    entries: tuple[Entry, ...]
    repeated: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept, and for how long the same event is the same one."""

    keep_seconds: float
    max_events: int
    dedupe_seconds: float


Listener = Callable[[Sequence[Entry]], None]


class Log:
    """The event log in the database. `open` it first."""

    def __init__(self, database: Database, limits: Limits, clock: Clock) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._listeners: list[Listener] = []
        self.extent = Extent("", 0, 0)

    async def open(self) -> None:
        """Learn what there is; the first time, name the log."""
        self.extent = await self._database.write(_open)

    def listen(self, listener: Listener) -> None:
        """Tell *listener* of everything that is appended, in order, once it is durable."""
        self._listeners.append(listener)

    async def append(self, notifications: Iterable[Notification]) -> Appended:
        """Put notifications at the end, those left out that came before; durable when it returns.

        Raises: DatabaseUnavailable: none of them was.
        """
        now = self._clock.wall()
        rows = [_row(notification, now) for notification in notifications]
        since = now - self._limits.dedupe_seconds
        return await self._write(partial(_append, rows=rows, known_since=since))

    async def append_again(self, after: int, upto: int, repository: str | None, limit: int) -> int:
        """Put what lies between two numbers at the end once more; give how many events that was.

        repository: only those of one. At most *limit* events, the oldest first.
        """
        now = self._clock.wall()
        again = partial(
            _append_again, after=after, upto=upto, repository=repository, limit=limit, now=now
        )
        return len((await self._write(again)).entries)

    async def _write(self, work: Callable[[Connection], Appended]) -> Appended:
        written = self._database.submit(work)
        written.add_done_callback(self._tell)  # also where whoever asked has gone meanwhile
        return await asyncio.shield(written)

    def _tell(self, written: "asyncio.Future[Appended]") -> None:
        if written.cancelled() or written.exception() is not None:
            return
        entries = written.result().entries
        if not entries:
            return
        extent = self.extent
        self.extent = Extent(extent.epoch, extent.floor, entries[-1].seq)
        for listener in self._listeners:
            listener(entries)

    async def read(self, after: int, upto: int, limit: int) -> list[Entry]:
        """Give the entries that follow a number, up to another. Raises: DatabaseUnavailable."""
        return await self._database.read(partial(_read, after=after, upto=upto, limit=limit))

    async def trim(self) -> int:
        """Remove what is past its time or too much, a step at a time; give how much that was.

        Raises: DatabaseUnavailable.
        """
        removed = 0
        while True:
            before = self._clock.wall() - self._limits.keep_seconds
            step = partial(_trim, before=before, max_events=self._limits.max_events)
            number, floor = await self._database.write(step)
            self.extent = Extent(self.extent.epoch, floor, self.extent.head)
            removed += number
            if number < TRIM_EVENTS:
                return removed


def new_epoch(connection: Connection) -> str:
    """Give the log another name: whoever has read from it has to look at everything again."""
    epoch = secrets.token_hex(8)
    put_fact(connection, EPOCH, epoch)
    return epoch


# --- works ----------------------------------------------------------------------------------------


def _row(notification: Notification, now: float) -> dict[str, object]:
    body = json.dumps(to_json(notification), separators=(",", ":"))
    return {
        "received_at": now,
        "fingerprint": _fingerprint(notification),
        "repository": str(notification.event.repository),
        "body": body,
    }


def _fingerprint(notification: Notification) -> str:
    """Give what tells an event: who sent it, under which id, and all that it says.

    The id alone wouldn't do: scripts use theirs again, and an event that is taken for another one
    is lost. The time is left out: a sender may give none, and then it is that of the receipt.
    """
    source = notification.source
    said = [source.sender, source.id, event_to_json(notification.event)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _open(connection: Connection) -> Extent:
    epoch = read_fact(connection, EPOCH) or new_epoch(connection)
    return Extent(epoch, _floor(connection), _head(connection))


def _head(connection: Connection) -> int:
    return connection.execute(select(func.max(events.c.seq))).scalar_one() or 0


def _floor(connection: Connection) -> int:
    return (connection.execute(select(func.min(events.c.seq))).scalar_one() or 1) - 1


def _append(
    connection: Connection, rows: Sequence[dict[str, object]], known_since: float
) -> Appended:
    fingerprints = [row["fingerprint"] for row in rows]
    found = connection.execute(
        select(events.c.fingerprint).where(
            events.c.fingerprint.in_(fingerprints), events.c.received_at > known_since
        )
    )
    known = set(found.scalars())
    fresh = []
    for row in rows:
        if row["fingerprint"] not in known:
            known.add(str(row["fingerprint"]))
            fresh.append(row)
    return Appended(_insert(connection, fresh), len(rows) - len(fresh))


def _append_again(
    connection: Connection, *, after: int, upto: int, repository: str | None, limit: int, now: float
) -> Appended:
    wanted = select(events.c.fingerprint, events.c.repository, events.c.body)
    wanted = wanted.where(events.c.seq > after, events.c.seq <= upto)
    if repository is not None:
        wanted = wanted.where(events.c.repository == repository)
    found = connection.execute(wanted.order_by(events.c.seq).limit(limit)).mappings()
    return Appended(_insert(connection, [{**row, "received_at": now} for row in found]), 0)


def _insert(connection: Connection, rows: Sequence[dict[str, object]]) -> tuple[Entry, ...]:
    if not rows:
        return ()
    first = _head(connection) + 1
    numbered = [{**row, "seq": seq} for seq, row in enumerate(rows, first)]
    connection.execute(insert(events), numbered)
    return tuple(
        Entry(first + index, float(str(row["received_at"])), str(row["body"]))
        for index, row in enumerate(rows)
    )


def _read(connection: Connection, after: int, upto: int, limit: int) -> list[Entry]:
    wanted = select(events.c.seq, events.c.received_at, events.c.body)
    wanted = wanted.where(events.c.seq > after, events.c.seq <= upto)
    found = connection.execute(wanted.order_by(events.c.seq).limit(limit))
    return [Entry(*row) for row in found]


def _trim(connection: Connection, before: float, max_events: int) -> tuple[int, int]:
    """Remove some of the oldest entries; give how many, and the floor after that."""
    head, floor = _head(connection), _floor(connection)
    too_many = head - max_events
    oldest = connection.execute(
        select(events.c.seq, events.c.received_at)
        .where(events.c.seq < head)
        .order_by(events.c.seq)
        .limit(TRIM_EVENTS)
    )
    last = floor
    for seq, received_at in oldest:
        if seq > too_many and received_at >= before:
            break
        last = seq
    connection.execute(delete(events).where(events.c.seq <= last))
    return last - floor, max(floor, last)
