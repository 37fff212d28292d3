"""Replica instances in the database: works on a connection."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from hub.instances.forms import Replication, Status
from hub.instances.state import Life
from hub.instances.tables import replicas
from hub.log.cursor import cursor_in
from hub.log.works import is_for
from hub.schema import events
from hub.wire.reading import Others, read
from hub.wire.writing import plain


@dataclass(frozen=True, slots=True)
class Record:
    """A replica instance as it is stored. replication: None: as the settings have it."""

    id: str
    region: str
    created_at: float
    replication: Replication | None
    status: Status | None
    life: Life


def add(connection: Connection, record: Record, token_hash: str) -> None:
    """Keep a new one, instead of one that was deleted there."""
    connection.execute(delete(replicas).where(replicas.c.region == record.region))
    connection.execute(
        insert(replicas),
        {
            "id": record.id,
            "region": record.region,
            "token_hash": token_hash,
            "replication": _text(record.replication),
            "created_at": record.created_at,
        },
    )


def everything(connection: Connection) -> tuple[Record, ...]:
    """Give all of them, by region."""
    found = connection.execute(select(replicas).order_by(replicas.c.region))
    return tuple(map(_record, found.mappings()))


def by_id(connection: Connection, replica_id: str) -> Record | None:
    """Give one by its id."""
    return _first(connection, replicas.c.id == replica_id)


def by_region(connection: Connection, region: str) -> Record | None:
    """Give the one of a region."""
    return _first(connection, replicas.c.region == region)


def by_token_hash(connection: Connection, token_hash: str) -> Record | None:
    """Give the one that has a token."""
    return _first(connection, replicas.c.token_hash == token_hash)


def put_status(connection: Connection, replica_id: str, status: Status, now: float) -> None:
    """Keep what a replica said of itself."""
    values = {"status": json.dumps(plain(status)), "reported_at": now}
    connection.execute(update(replicas).where(replicas.c.id == replica_id).values(values))


def put_replication(
    connection: Connection, replica_id: str, replication: Replication | None
) -> None:
    """Keep what a replica is to copy."""
    found = update(replicas).where(replicas.c.id == replica_id)
    connection.execute(found.values(replication=_text(replication)))


def put_draining(connection: Connection, replica_id: str, now: float) -> None:
    """Keep since when one drains; what was said first counts."""
    found = update(replicas).where(replicas.c.id == replica_id, replicas.c.draining_at.is_(None))
    connection.execute(found.values(draining_at=now))


def put_deleted(connection: Connection, replica_id: str, now: float) -> None:
    """Keep since when one is deleted."""
    found = update(replicas).where(replicas.c.id == replica_id, replicas.c.deleted_at.is_(None))
    connection.execute(found.values(deleted_at=now))


def forget_deleted(connection: Connection, before: float) -> None:
    """Remove those that were deleted before a time."""
    connection.execute(delete(replicas).where(replicas.c.deleted_at < before))


def unread_since(connection: Connection, record: Record, epoch: str) -> float | None:
    """Give when the oldest event came that is for a replica and that it hasn't read; None: there is
    none, or the replica reads another log.
    """
    if record.status is None or record.status.cursor is None:
        return None
    cursor = cursor_in(record.status.cursor)
    if cursor.epoch != epoch:
        return None
    unread = events.c.seq > cursor.seq
    wanted = select(events.c.received_at).where(unread, is_for(record.region))
    found = connection.execute(wanted.order_by(events.c.seq).limit(1)).scalar()
    return None if found is None else float(found)


def _first(connection: Connection, condition: Any) -> Record | None:
    row = connection.execute(select(replicas).where(condition)).mappings().first()
    return None if row is None else _record(row)


def _record(row: RowMapping) -> Record:
    status = _form(Status, row["status"])
    return Record(
        row["id"],
        row["region"],
        row["created_at"],
        _form(Replication, row["replication"]),
        status,
        Life(
            status.state if status else None,
            row["reported_at"],
            row["draining_at"],
            row["deleted_at"],
        ),
    )


def _form(form: type[Any], text: str | None) -> Any:
    return None if text is None else read(form, json.loads(text), Others.IGNORE)


def _text(form: Replication | None) -> str | None:
    return None if form is None else json.dumps(plain(form))
