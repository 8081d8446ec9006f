"""The first tables: recommendations with their events, findings, baselines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_recommendation_state", "recommendation", ["state"]),
    ("ix_recommendation_seen", "recommendation", ["seen"]),
    ("ix_recommendation_event_recommendation", "recommendation_event", ["recommendation"]),
    ("ix_finding_last_seen", "finding", ["last_seen"]),
    ("ix_finding_key_last", "finding", ["key", "last_seen"]),
)


def upgrade() -> None:
    """Make the tables; SQLite may have been cut off half-way, so what is there already stays."""
    op.create_table(
        "recommendation",
        sa.Column("id", sa.String(160), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "recommendation_event",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("recommendation", sa.String(160), sa.ForeignKey("recommendation.id"), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "finding",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("service", sa.String(120), nullable=False),
        sa.Column("signal", sa.String(120), nullable=False),
        sa.Column("detector", sa.String(32), nullable=False),
        sa.Column("first_seen", sa.Float, nullable=False),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "baseline",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("signal", sa.String(120), nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns, if_not_exists=True)


def downgrade() -> None:
    """Drop the tables."""
    for table in ("baseline", "finding", "recommendation_event", "recommendation"):
        op.drop_table(table)
