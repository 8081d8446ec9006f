"""Reports that are made on a schedule: each one once, whoever makes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; what was made before a kill stays."""
    op.create_table(
        "report",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("due", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("lease", sa.Float, nullable=False),
        sa.Column("retry", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("finished", sa.Float),
        sa.Column("problem", sa.String(500), nullable=False),
        sa.Column("delivered", sa.JSON, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("markdown", sa.Text, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_report_name", "report", ["name"], if_not_exists=True)
    op.create_table(
        "report_schedule",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("schedule", sa.String(300), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("report_schedule", "report"):
        op.drop_table(table)
