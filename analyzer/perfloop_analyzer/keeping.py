"""Keeps what a cycle found, and counts for how long the analyzer looked: absence is counted in what was looked at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.changes import KEEP_SECONDS
from perfloop_analyzer.errors import StoreError
from perfloop_analyzer.recommend import by_urgency, learn_track_records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from perfloop_analyzer.ports import Result, Store

STORE_SECONDS = 20.0  # for which the database is waited for
DECIDED_SECONDS = 30 * 86_400.0

log = logging.getLogger("analyzer")


class Lenient:
    """Work with a database that may fail, or hang, without an end to the analysis: it is counted and logged."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count

    async def bounded(self, work: Awaitable[None], seconds: float) -> None:
        """Wait for work with the database, but not for ever."""
        try:
            await asyncio.wait_for(work, seconds)
        except TimeoutError:
            self._count()
            log.warning("the database has not answered for %g s", seconds)

    @contextlib.contextmanager
    def may_fail(self) -> Iterator[None]:
        """Go on without the database where it cannot be used."""
        try:
            yield
        except StoreError as error:
            self._count()
            log.warning("%s", error)


class Keeping:
    """Writes results to the database, and reads back what became of their recommendations."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watched_until: float | None = None

    def forget(self) -> None:
        """Count from the next cycle on: nobody looked until then."""
        self._watched_until = None

    async def keep(self, result: Result, now: float, most: float) -> Result:
        """Write a result and return it with the state that each of its recommendations has.

        Args:
            result: The result of a cycle.
            now: The moment on the clock that counts: the monotonic one of the service, or that of a single cycle.
            most: How much of the time since the last cycle counts as looked at, in seconds: what was not looked at was
                not absent, and no gap alone makes a recommendation expire.

        Raises:
            StoreError: The database cannot be used, or does not answer.
        """
        watched = 0.0 if self._watched_until is None else min(max(0.0, now - self._watched_until), most)
        try:
            stored = await asyncio.wait_for(asyncio.to_thread(self._write, result, watched), STORE_SECONDS)
        except TimeoutError as error:
            raise StoreError(f"the database has not answered for {STORE_SECONDS:g} s") from error
        # Without health nothing was seen: that a finding was not among it does not count as its absence.
        self._watched_until = now if result.health else None
        return stored

    def _write(self, result: Result, watched: float) -> Result:
        self._store.write_findings(result.findings, result.at)
        self._store.write_memory(result.memory)
        standing = self._store.merge(result.recommendations, result.at, watched)
        ids = {recommendation.id for recommendation in standing}
        decided = self._store.decided(result.at - DECIDED_SECONDS)
        return replace(
            result,
            recommendations=by_urgency(standing),
            decided=tuple(one for one in decided if one.id not in ids),
            changes=self._store.changes(result.at - KEEP_SECONDS),
            records=learn_track_records(self._store.recommendations()),
        )
