"""The cost of an hour with which later costs are compared; Prometheus forgets it sooner than the goal is reached."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; what was made before a kill stays."""
    op.create_table(
        "cost_baseline",
        sa.Column("since", sa.Float, primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("per_hour", sa.Float, nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("cost_baseline")
