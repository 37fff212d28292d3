"""Replica instances, and the replication log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "replicas",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("region", sa.String(63), nullable=False, unique=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("replication", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("reported_at", sa.Float),
        sa.Column("status", sa.Text),
        sa.Column("draining_at", sa.Float),
        sa.Column("deleted_at", sa.Float),
    )
    op.create_table(
        "history",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("revision", sa.BigInteger, nullable=False, unique=True),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("began_at", sa.Float, nullable=False),
        sa.Column("replica", sa.String(128), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("region", sa.String(63), nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("tag", sa.String(128)),
        sa.Column("digest", sa.String(256)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("replica", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("history_by_repository", "history", ["repository", "number"])
    op.create_index("history_by_digest", "history", ["digest", "number"])
    op.create_index("history_by_state", "history", ["state", "number"])
    op.create_index("history_by_change", "history", ["changed_at"])
    op.create_index("events_by_repository", "events", ["repository", "seq"])
