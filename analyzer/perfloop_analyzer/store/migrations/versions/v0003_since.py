"""Since when findings and incidents stand, when the analyzer last looked, and what was changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; what was made before a kill stays."""
    op.create_table(
        "episode",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("began", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("expected", sa.Float),
        sa.Column("deviation", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "incident",
        sa.Column("id", sa.String(160), primary_key=True),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("members", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "moment",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "recorded_change",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("service", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_recorded_change_at", "recorded_change", ["at"], if_not_exists=True)


def downgrade() -> None:
    """Drop the tables."""
    for table in ("recorded_change", "moment", "incident", "episode"):
        op.drop_table(table)
