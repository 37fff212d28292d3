"""The tables as they are now. `migrations` leads here from every released version."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

Sequence = BigInteger().with_variant(Integer, "sqlite")
"""INTEGER, where SQLite keeps rows in the order of such a key."""

facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=False),
    Column("received_at", Float, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("repository", String(255), nullable=False),
    Column("body", Text, nullable=False),
    Column("region", String(63)),
    Index("events_by_fingerprint", "fingerprint"),
)

parked = Table(
    "parked",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("received_at", Float, nullable=False),
    Column("sender", String(32), nullable=False),
    Column("headers", Text, nullable=False),
    Column("reason", String(256), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
