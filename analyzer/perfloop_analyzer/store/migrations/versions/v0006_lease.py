"""The lease: which of several analyzers publishes, and who waits for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; what was made before a kill stays."""
    op.create_table(
        "analyzer_lease",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("lease", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("term", sa.Integer, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("process", sa.String(200), nullable=False),
        sa.Column("place", sa.String(200), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "analyzer_member",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("process", sa.String(200), nullable=False),
        sa.Column("place", sa.String(200), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("analyzer_member")
    op.drop_table("analyzer_lease")
