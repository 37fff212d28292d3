"""The event log, parked notifications, and facts of the hub such as its epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column(
            "seq",
            sequence,
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("events_by_fingerprint", "events", ["fingerprint"])
    op.create_table(
        "parked",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("sender", sa.String(32), nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("reason", sa.String(256), nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
