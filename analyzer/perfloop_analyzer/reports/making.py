"""Makes one report after the other: what it needs is collected, then composed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from perfloop_analyzer.reports.review import compose

if TYPE_CHECKING:
    from perfloop_analyzer.reports.document import Report
    from perfloop_analyzer.reports.gathering import Gatherer
    from perfloop_analyzer.reports.window import Window


MOST_WAITING = 4


class ReportMaker:
    """Makes reports, one at a time: each one asks Prometheus for weeks."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def is_busy(self) -> bool:
        """Whether so many reports are asked for that another one should be asked for later."""
        return self._waiting >= MOST_WAITING

    async def make(self, kind: str, window: Window, made: float) -> Report:
        """Return the report of a window, made at a moment in Unix seconds.

        Raises:
            SourceUnavailable: Prometheus answered nothing.
        """
        self._waiting += 1
        try:
            async with self._turn:
                parts = await self._gatherer.parts(window)
        finally:
            self._waiting -= 1
        return await asyncio.to_thread(compose, kind, parts, window, made)
