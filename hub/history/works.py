"""The replication log in the database: works on a connection."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from hub.facts import put_fact, read_fact
from hub.history.forms import Entry, EntryState, LogsPage, LogsQuery
from hub.history.tables import history
from hub.wire.reading import Others, read
from hub.wire.writing import plain

REVISION = "history.revision"
TRIM_ENTRIES = 1_000
MAX_OF_A_DIGEST = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that is new or says something else now. before: its state; None: it is new."""

    entry: Entry
    before: EntryState | None


def put(connection: Connection, entries: Iterable[Entry], now: float) -> tuple[Change, ...]:
    """Keep the entries of one replica; those that say what they said before change nothing."""
    by_id = {entry.id: entry for entry in entries}
    if not by_id:
        return ()
    (replica,) = {entry.replica for entry in by_id.values()}
    found = connection.execute(
        select(history.c.id, history.c.state, history.c.body).where(
            history.c.replica == replica, history.c.id.in_(by_id)
        )
    )
    known = {row.id: row for row in found}
    revision = _revision(connection)
    fresh: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    changes: list[Change] = []
    for entry in by_id.values():
        body = json.dumps(plain(entry), separators=(",", ":"))
        before = known.get(entry.id)
        if before is not None and before.body == body:
            continue
        revision += 1
        row = {**_columns(entry, body), "revision": revision, "changed_at": now}
        changes.append(Change(entry, EntryState(before.state) if before else None))
        if before is None:
            fresh.append({**row, "began_at": now})
        else:
            changed.append({f"new_{name}": value for name, value in row.items()})
    _write(connection, fresh, changed)
    put_fact(connection, REVISION, str(revision))
    return tuple(changes)


def _columns(entry: Entry, body: str) -> dict[str, Any]:
    return {
        "replica": entry.replica,
        "id": entry.id,
        "region": entry.region,
        "repository": entry.repository,
        "tag": entry.tag,
        "digest": entry.digest,
        "state": entry.state.value,
        "body": body,
    }


def _write(
    connection: Connection, fresh: Sequence[dict[str, Any]], changed: Sequence[dict[str, Any]]
) -> None:
    if fresh:
        connection.execute(insert(history), fresh)
    if changed:
        names = changed[0].keys() - {"new_replica", "new_id"}
        values: dict[str, Any] = {name.removeprefix("new_"): bindparam(name) for name in names}
        connection.execute(
            update(history)
            .where(
                history.c.replica == bindparam("new_replica"), history.c.id == bindparam("new_id")
            )
            .values(values),
            changed,
        )


def _revision(connection: Connection) -> int:
    return int(read_fact(connection, REVISION) or 0)


# --- reading --------------------------------------------------------------------------------------


def page(connection: Connection, query: LogsQuery) -> LogsPage:
    """Give some entries."""
    revision = str(_revision(connection))
    rows = connection.execute(_selected(query)).all()
    is_full = len(rows) == query.limit
    entries = tuple(_entry(row.body) for row in rows)
    if query.follow is not None:
        return LogsPage(entries, str(rows[-1].revision) if rows else query.follow, revision)
    return LogsPage(entries, str(rows[-1].number) if is_full else None, revision)


def _selected(query: LogsQuery) -> Select[Any]:
    columns = history.c
    wanted = select(columns.number, columns.revision, columns.body).limit(query.limit)
    for column, value in (
        (columns.repository, query.repository),
        (columns.tag, query.tag),
        (columns.digest, query.digest),
        (columns.region, query.region),
        (columns.state, query.state),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    if query.since is not None:
        wanted = wanted.where(columns.began_at >= query.since)
    if query.until is not None:
        wanted = wanted.where(columns.began_at < query.until)
    if query.follow is not None:
        return wanted.where(columns.revision > int(query.follow)).order_by(columns.revision)
    if query.after is not None:
        wanted = wanted.where(columns.number < int(query.after))
    return wanted.order_by(columns.number.desc())


def of_digest(connection: Connection, repository: str, digest: str) -> tuple[Entry, ...]:
    """Give the entries of a digest in a repository, what changed last first."""
    wanted = select(history.c.body).where(
        history.c.digest == digest, history.c.repository == repository
    )
    newest = wanted.order_by(history.c.revision.desc()).limit(MAX_OF_A_DIGEST)
    return tuple(map(_entry, connection.execute(newest).scalars()))


def newest_of_tag(connection: Connection, repository: str, tag: str) -> str | None:
    """Give the digest that the newest entry of a tag names."""
    wanted = select(history.c.digest).where(
        history.c.repository == repository, history.c.tag == tag, history.c.digest.is_not(None)
    )
    found = connection.execute(wanted.order_by(history.c.number.desc()).limit(1)).scalar()
    return None if found is None else str(found)


def _entry(body: str) -> Entry:
    return read(Entry, json.loads(body), Others.IGNORE)


# --- trimming -------------------------------------------------------------------------------------


def trim(connection: Connection, before: float, max_entries: int) -> int:
    """Remove some of what is past its time, or too much; give how many that was."""
    old = select(history.c.number).where(history.c.changed_at < before)
    numbers = list(connection.execute(old.limit(TRIM_ENTRIES)).scalars())
    if not numbers:
        number: int = connection.execute(select(func.count()).select_from(history)).scalar_one()
        excess = min(number - max_entries, TRIM_ENTRIES)
        if excess > 0:
            oldest = select(history.c.number).order_by(history.c.number).limit(excess)
            numbers = list(connection.execute(oldest).scalars())
    if numbers:
        connection.execute(delete(history).where(history.c.number.in_(numbers)))
    return len(numbers)
