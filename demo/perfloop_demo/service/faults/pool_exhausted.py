"""Pool exhausted: connections are taken from the pool and not returned."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from perfloop_demo.service.database import POOL_SIZE
from perfloop_demo.service.faults.rules import Rule

if TYPE_CHECKING:
    from sqlalchemy import PoolProxiedConnection

    from perfloop_demo.service.database import Database

# Requests in flight return their connections within about the pool's own timeout.
_PATIENCE_SECONDS = 10.0


class PoolExhausted:
    """Holds connections, so that requests wait for the rest and time out when there is none."""

    rule = Rule(
        "pool_exhausted",
        "Pool exhausted",
        "whole number",
        "connections",
        POOL_SIZE,
        f"This many of the pool's {POOL_SIZE} connections are held; requests wait for the others.",
    )

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._held: list[PoolProxiedConnection] = []

    def apply(self, value: float) -> None:
        """Hold this many connections; waits up to ten seconds for those that requests are using."""
        while len(self._held) > value:
            self._held.pop().close()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(self._held) < value and time.monotonic() < deadline:
            try:
                self._held.append(self._engine.raw_connection())
            except SQLAlchemyError:  # in use, or the database is away: try again
                time.sleep(0.1)
