"""The table of replica instances."""

from sqlalchemy import Column, Float, String, Table, Text

from hub.schema import metadata

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("region", String(63), nullable=False, unique=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("replication", Text),
    Column("created_at", Float, nullable=False),
    Column("reported_at", Float),
    Column("status", Text),
    Column("draining_at", Float),
    Column("deleted_at", Float),
)
