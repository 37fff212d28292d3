"""The tables of what operators say about regions while the hub runs."""

from sqlalchemy import Column, Float, String, Table

from hub.schema import metadata

linked_networks = Table(
    "linked_networks",
    metadata,
    Column("region", String(63), primary_key=True),
    Column("network", String(43), primary_key=True),
    Column("linked_at", Float, nullable=False),
)

drained_regions = Table(
    "drained_regions",
    metadata,
    Column("region", String(63), primary_key=True),
    Column("drained_at", Float, nullable=False),
)
