"""The table of the replication log.

number:   in the order in which entries were first reported; pages go by it.
revision: new with each change; followers go by it.
"""

from sqlalchemy import BigInteger, Column, Float, Index, String, Table, Text, UniqueConstraint

from hub.schema import Sequence, events, metadata

history = Table(
    "history",
    metadata,
    Column("number", Sequence, primary_key=True, autoincrement=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("changed_at", Float, nullable=False),
    Column("began_at", Float, nullable=False),
    Column("replica", String(128), nullable=False),
    Column("id", String(128), nullable=False),
    Column("region", String(63), nullable=False),
    Column("repository", String(255), nullable=False),
    Column("tag", String(128)),
    Column("digest", String(256)),
    Column("state", String(16), nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("replica", "id"),
    Index("history_by_repository", "repository", "number"),
    Index("history_by_digest", "digest", "number"),
    Index("history_by_state", "state", "number"),
    Index("history_by_change", "changed_at"),
    sqlite_autoincrement=True,
)

Index("events_by_repository", events.c.repository, events.c.seq)
