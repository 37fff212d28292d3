"""Networks linked to regions, and regions that are drained."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "linked_networks",
        sa.Column("region", sa.String(63), primary_key=True),
        sa.Column("network", sa.String(43), primary_key=True),
        sa.Column("linked_at", sa.Float, nullable=False),
    )
    op.create_table(
        "drained_regions",
        sa.Column("region", sa.String(63), primary_key=True),
        sa.Column("drained_at", sa.Float, nullable=False),
    )
