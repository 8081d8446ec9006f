"""Large pieces of answers wait here, so that no flood of bytes keeps the event loop from its deadlines."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.ports import Clock

# From this size on, the events or chunks of a piece can take milliseconds: uvloop reads up to 256 KB at once.
LARGE_PIECE = 16_384
# So much of the loop's time goes to them before timers and other sockets have their turn.
_TURN_NANOSECONDS = 10_000_000


class Backlog:
    """Calls what was put in, in order, a few milliseconds at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def put(self, call: Callable[[], None]) -> None:
        """Call later, after everything that waits already."""
        self._waiting.append(call)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        self._scheduled = False
        until = self._clock() + _TURN_NANOSECONDS
        try:
            while self._waiting and self._clock() < until:
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._schedule()
