"""How long a connection may be idle before the server closes it: what the server announced, else what was observed.

A request that is sent while the server closes the connection is lost. Clients of real users leave such connections
alone: what is idle for nearly as long as the server keeps it is closed from this side.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND = 1_000_000_000
# Of the server's limit, this much is used: its clock began up to a network's delay earlier.
_USED = 0.9
# Connections are looked at so often, as a share of the limit: well within the margin.
_STEP = 0.025
# So many connections that were closed one after the other, after times that differ by no more than this, are a limit;
# a server that restarts closes its connections after times of any length.
_AGREEING = 4
_LARGEST_RATIO = 1.1
# Below it, a server just closes its connections: no limit would help.
_SHORTEST = _SECOND // 2


class IdleLimit:
    """The limit of one server; `nanoseconds` is 0 while it is not known, and otherwise shortened by a margin."""

    __slots__ = ("_closed_after", "_known", "nanoseconds")

    def __init__(self, known: Callable[[], None] | None = None) -> None:
        self.nanoseconds = 0
        self._known = known
        self._closed_after: deque[int] = deque(maxlen=_AGREEING)

    def announce(self, seconds: int) -> None:
        """Take the server's own word: the field `Keep-Alive: timeout=SECONDS` of an answer."""
        if seconds > 0:
            self._lower_to(seconds * _SECOND)

    def observe(self, idle_nanoseconds: int) -> None:
        """Note that the server closed a connection that was idle for so long."""
        if idle_nanoseconds < _SHORTEST:
            return
        closed = self._closed_after
        closed.append(idle_nanoseconds)
        if len(closed) == _AGREEING and max(closed) <= _LARGEST_RATIO * min(closed):
            self._lower_to(min(closed))

    def _lower_to(self, nanoseconds: int) -> None:
        used = round(nanoseconds * _USED)
        if not self.nanoseconds or used < self.nanoseconds:
            first = not self.nanoseconds
            self.nanoseconds = used
            if first and self._known is not None:
                self._known()


class Sweep:
    """Calls again and again, once it is started; `call` returns the limit in nanoseconds that it looks after."""

    def __init__(self, call: Callable[[], int]) -> None:
        self._call = call
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call from the running event loop, until `stop`."""
        limit = self._call()
        self._handle = asyncio.get_running_loop().call_later(limit / _SECOND * _STEP, self.start)

    def stop(self) -> None:
        """Do not call any more."""
        if self._handle is not None:
            self._handle.cancel()
