"""How many queries run at once: fewer where the server is slow or refuses, one more at a time when it recovers.

Additive increase, multiplicative decrease (D. Chiu, R. Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance in computer networks", 1989), as TCP does it: one that was sent before the last decrease says
nothing about the load since.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SLOW = 0.5  # of the time limit: an answer that takes longer is a sign of too many questions


class Pace:
    """The number of queries that may run at once.

    Attributes:
        most: As it is set.
        limit: As it is now, from 1 to `most`.
        reason: Why it is lower; empty while it is not.
        halvings: How often it was halved.
    """

    def __init__(self, most: int, limit_seconds: float, clock: Callable[[], float]) -> None:
        """Begin with the most.

        Args:
            most: How many queries may run at once.
            limit_seconds: The time limit of one query.
            clock: A monotonic clock, in seconds.
        """
        self.most = most
        self.limit = float(most)
        self.reason = ""
        self.halvings = 0
        self._slow_seconds = SLOW * limit_seconds
        self._clock = clock
        self._since = clock()
        self._running = 0
        self._freed = asyncio.Condition()

    @property
    def now(self) -> int:
        """How many queries may run at once now."""
        return int(self.limit)

    @property
    def words(self) -> str:
        """What is done about a slow server, for people; empty while nothing is."""
        if not self.reason:
            return ""
        return f"Prometheus gets {self.now} of {self.most} questions at a time, because {self.reason}"

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more query may run."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._running < self.now)
            self._running += 1
        try:
            yield
        finally:
            async with self._freed:
                self._running -= 1
                self._freed.notify_all()

    def answered(self, began: float) -> None:
        """Note an answer to a query that was sent at a moment of the clock."""
        took = self._clock() - began
        if took > self._slow_seconds:
            self.refused(began, f"an answer took {took:.1f} s")
            return
        if began >= self._since:
            self.limit = min(self.limit + 1.0 / self.limit, float(self.most))
        if self.now == self.most:
            self.reason = ""

    def refused(self, began: float, reason: str) -> None:
        """Note that a query that was sent at a moment was refused for load, or got no answer in time."""
        if began < self._since:
            return
        self.limit = max(1.0, self.limit / 2.0)
        self._since = self._clock()
        self.reason = reason
        self.halvings += 1
