"""What the log does with its table, each in one transaction."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from hub.facts import put_fact, read_fact
from hub.log.cursor import Extent
from hub.schema import events
from proxy.events.notification import Notification
from proxy.events.wire import event_to_json, to_json

TRIM_EVENTS = 1_000
EPOCH = "epoch"
TRIAL = "trial"
TRIAL_CHARACTERS = 32 << 10  # a disk whose last few pages take this one takes an event

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the log. body: the notification's JSON form; received_at: since 1970; region: of
    the replica that it is for; None: for all of them.
    """

    seq: int
    received_at: float
    body: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of some notifications: new entries, and how many had come before."""

    entries: tuple[Entry, ...]
    repeated: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was logged after a number, up to another; of a repository, if one is named. region: for
    the replica there; None: for all of them.
    """

    after: int
    upto: int
    repository: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Repetition:
    """Entries that were put at the end once more. next: the number after which to go on; None: that
    was all.
    """

    entries: tuple[Entry, ...]
    next: int | None


def new_epoch(connection: Connection) -> str:
    """Give the log another name: whoever has read from it has to look at everything again."""
    epoch = secrets.token_hex(8)
    put_fact(connection, EPOCH, epoch)
    return epoch


def row_of(notification: Notification, now: float) -> Row:
    """Give what is kept of a notification."""
    body = json.dumps(to_json(notification), separators=(",", ":"))
    return {
        "received_at": now,
        "fingerprint": _fingerprint(notification),
        "repository": str(notification.event.repository),
        "body": body,
        "region": None,
    }


def _fingerprint(notification: Notification) -> str:
    """Give what tells an event: who sent it, under which id, and all that it says.

    The id alone wouldn't do: scripts use theirs again, and an event that is taken for another one
    is lost. The time is left out: a sender may give none, and then it is that of the receipt.
    """
    source = notification.source
    said = [source.sender, source.id, event_to_json(notification.event)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def look(connection: Connection) -> Extent:
    """Give what there is; the first time, name the log."""
    epoch = read_fact(connection, EPOCH) or new_epoch(connection)
    return Extent(epoch, _floor(connection), _head(connection))


def _head(connection: Connection) -> int:
    return connection.execute(select(func.max(events.c.seq))).scalar_one() or 0


def _floor(connection: Connection) -> int:
    return (connection.execute(select(func.min(events.c.seq))).scalar_one() or 1) - 1


def append(
    connection: Connection, groups: Sequence[Sequence[Row]], known_since: float
) -> list[Appended]:
    """Put the rows of each group at the end, those left out that are known since a time.

    What was told to one region once more makes nothing known to the others.
    """
    fingerprints = [row["fingerprint"] for rows in groups for row in rows]
    found = connection.execute(
        select(events.c.fingerprint).where(
            events.c.fingerprint.in_(fingerprints),
            events.c.received_at > known_since,
            events.c.region.is_(None),
        )
    )
    known = set(found.scalars())
    fresh = [_unknown(rows, known) for rows in groups]
    entries = iter(_insert(connection, [row for rows in fresh for row in rows]))
    return [
        Appended(tuple(islice(entries, len(some))), len(rows) - len(some))
        for some, rows in zip(fresh, groups, strict=True)
    ]


def _unknown(rows: Sequence[Row], known: set[object]) -> list[Row]:
    """Give the rows that aren't known, and know them."""
    fresh = []
    for row in rows:
        if row["fingerprint"] not in known:
            known.add(row["fingerprint"])
            fresh.append(row)
    return fresh


def try_out(connection: Connection) -> None:
    """Write as if there was an event, and more than most; what it was before is written over."""
    put_fact(connection, TRIAL, "." * TRIAL_CHARACTERS)


def append_again(connection: Connection, stretch: Stretch, limit: int, now: float) -> Repetition:
    """Put the entries of a stretch at the end once more, the oldest *limit* of them."""
    columns = events.c
    wanted = select(columns.seq, columns.fingerprint, columns.repository, columns.body).where(
        columns.seq > stretch.after, columns.seq <= stretch.upto, is_for(stretch.region)
    )
    if stretch.repository is not None:
        wanted = wanted.where(columns.repository == stretch.repository)
    found = connection.execute(wanted.order_by(columns.seq).limit(limit + 1)).mappings().all()
    again = [{**row, "received_at": now, "region": stretch.region} for row in found[:limit]]
    following = found[limit - 1]["seq"] if len(found) > limit else None
    return Repetition(_insert(connection, again), following)


def is_for(region: str | None) -> ColumnElement[bool]:
    """Give the condition that an event is for the replica of a region; None: for all of them."""
    for_all = events.c.region.is_(None)
    return for_all if region is None else for_all | (events.c.region == region)


def _insert(connection: Connection, rows: Sequence[Row]) -> tuple[Entry, ...]:
    if not rows:
        return ()
    first = _head(connection) + 1
    numbered = [{**row, "seq": seq} for seq, row in enumerate(rows, first)]
    connection.execute(insert(events), numbered)
    return tuple(
        Entry(seq, float(str(row["received_at"])), str(row["body"]), _text(row["region"]))
        for seq, row in enumerate(rows, first)
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def read(connection: Connection, after: int, upto: int, limit: int) -> list[Entry]:
    """Give the entries that follow a number, up to another."""
    wanted = select(events.c.seq, events.c.received_at, events.c.body, events.c.region)
    wanted = wanted.where(events.c.seq > after, events.c.seq <= upto)
    found = connection.execute(wanted.order_by(events.c.seq).limit(limit))
    return [Entry(*row) for row in found]


def trim(connection: Connection, before: float, max_events: int) -> tuple[int, int]:
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
