"""Slow queries: the database itself waits inside every SELECT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_demo.service.faults.rules import Rule

if TYPE_CHECKING:
    from perfloop_demo.service.database import Database


class SlowQueries:
    """Every query takes this much longer in the database."""

    rule = Rule(
        "slow_queries",
        "Slow queries",
        "number",
        "seconds",
        30,
        "The database sleeps inside every SELECT, as a missing index or a lock would make it.",
    )

    def __init__(self, database: Database) -> None:
        self._database = database

    def apply(self, value: float) -> None:
        """Make each query wait this many seconds."""
        self._database.slow_query_seconds = float(value)
