"""A few requests at a time, the newest first: hundreds of strangers' requests do not stand before a good one.

A page or the metrics cost milliseconds of one core. Of a thousand requests at once, first come, first served, the last
waits for seconds, and a scrape that comes then is lost although it costs nothing. The newest first is what serves it;
the oldest, whose clients have waited longest, are refused once too many wait.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from perfloop_base.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OVERLOADED = Refusal(503, "too many requests at once", (("Retry-After", "1"), ("Connection", "close")))


class Lane:
    """Lets requests of one event loop pass.

    Args:
        width: How many pass at a time; their work is that of one core.
        most_waiting: How many wait at most.
    """

    def __init__(self, width: int = 2, most_waiting: int = 64) -> None:
        self._free = width
        self._most = most_waiting
        self._waiting: list[asyncio.Future[bool]] = []

    async def enter(self) -> bool:
        """Wait for a place; return whether there is one, which `leave` has to give back."""
        if self._free:
            self._free -= 1
            return True
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if len(self._waiting) > self._most:
            self._waiting.pop(0).set_result(False)  # the one argument there is
        try:
            return await place
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif place.done() and not place.cancelled() and place.result():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the newest that waits."""
        while self._waiting:
            place = self._waiting.pop()
            if not place.done():
                place.set_result(True)  # the one argument there is
                return
        self._free += 1

    @asynccontextmanager
    async def place(self) -> AsyncIterator[bool]:
        """Wait for a place for the length of a block, and yield whether there is one."""
        entered = await self.enter()
        try:
            yield entered
        finally:
            if entered:
                self.leave()
