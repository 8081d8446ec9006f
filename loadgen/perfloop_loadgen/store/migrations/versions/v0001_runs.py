"""The first tables: runs, their labels, baselines; and the view of facts that other programs read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The newest run of each test, and how many baselines the test has.
FACTS = """
CREATE VIEW load_test_facts AS
SELECT r.test, r.run_id, r.started, r.state, r.verdict,
    CASE WHEN r.state = 'ended' AND r.verdict = 'passed' THEN 1 ELSE 0 END AS passed,
    (SELECT COUNT(DISTINCT b.name) FROM load_test_baseline b WHERE b.test = r.test) AS baselines
FROM load_test_run r
WHERE NOT EXISTS (
    SELECT 1 FROM load_test_run n
    WHERE n.test = r.test AND (n.started > r.started OR (n.started = r.started AND n.run_id > r.run_id))
)
"""


def upgrade() -> None:
    """Make the tables; SQLite may have been cut off half-way, so what is there already stays."""
    op.create_table(
        "load_test_run",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("test", sa.String(200), nullable=False),
        sa.Column("started", sa.Float(53), nullable=False),
        sa.Column("duration_seconds", sa.Float(53), nullable=False),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("base_url", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("config_hash", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("rate", sa.Float(53), nullable=False),
        sa.Column("p50_seconds", sa.Float(53)),
        sa.Column("p95_seconds", sa.Float(53)),
        sa.Column("p99_seconds", sa.Float(53)),
        sa.Column("document", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_load_test_run_started", "load_test_run", ["started"], if_not_exists=True)
    op.create_index("ix_load_test_run_test_started", "load_test_run", ["test", "started"], if_not_exists=True)
    op.create_table(
        "load_test_label",
        sa.Column("run_id", sa.String(64), sa.ForeignKey("load_test_run.run_id"), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("value", sa.String(200), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "load_test_baseline",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("load_test_run.run_id"), primary_key=True),
        sa.Column("test", sa.String(200), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("set_at", sa.Float(53), nullable=False),
        if_not_exists=True,
    )
    op.execute("DROP VIEW IF EXISTS load_test_facts")
    op.execute(FACTS)


def downgrade() -> None:
    """Drop the view and the tables."""
    op.execute("DROP VIEW IF EXISTS load_test_facts")
    for table in ("load_test_baseline", "load_test_label", "load_test_run"):
        op.drop_table(table)
