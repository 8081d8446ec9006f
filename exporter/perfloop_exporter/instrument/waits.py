"""Waits that a caller asked for, such as a long poll, a blocking read of a queue or a `SELECT pg_sleep(1)`: no latency.

`waiting` marks one. Inside of it the clock of the request stands still, and what is measured counts as a wait instead
of as an operation of database or cache.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, Self

from perfloop_exporter.instrument.failures import note_failure

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from contextvars import Token


class WorkClock:
    """The seconds that a request has worked: a clock that stands still while the request waits."""

    __slots__ = ("_open", "_since", "waited")

    def __init__(self) -> None:
        self.waited = 0.0
        self._open = 0
        self._since = 0.0  # perf_counter's time at which it stopped, 0 while it runs

    def now(self) -> float:
        """Return its time: perf_counter's without the waits."""
        return (self._since or perf_counter()) - self.waited

    def begin_wait(self) -> None:
        """Stop; waits that overlap are counted once."""
        self._open += 1
        if self._open == 1:
            self._since = perf_counter()

    def end_wait(self) -> None:
        """Run on when no other wait is open."""
        self._open -= 1
        if self._open == 0:
            self.waited += perf_counter() - self._since
            self._since = 0.0

    def waited_seconds(self) -> float:
        """Return the seconds of every wait until now."""
        return self.waited + (perf_counter() - self._since if self._since else 0.0)


class _Clocked(Protocol):
    @property
    def clock(self) -> WorkClock: ...
    @property
    def scope(self) -> MutableMapping[str, Any]: ...


# What is served in this context; an exchange rather than its clock, so that starting a request sets one thing.
current_request: ContextVar[_Clocked | None] = ContextVar("perfloop_current_request", default=None)
_asked: ContextVar[bool] = ContextVar("perfloop_asked_to_wait", default=False)


def is_waiting() -> bool:
    """Return whether this code runs inside of `waiting`."""
    return _asked.get()


class RequestWait:
    """One wait of the request that is served in this context; without one it has no effect."""

    __slots__ = ("_clock",)

    def __init__(self) -> None:
        request = current_request.get()
        self._clock = None if request is None else request.clock
        if self._clock is not None:
            self._clock.begin_wait()

    def end(self) -> None:
        """End the wait; a second end changes nothing."""
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.end_wait()


class waiting:  # noqa: N801 - reads as a function: `with waiting():`
    """Mark a wait that the caller asked for: `with waiting(): await news.wait()`, or `async with`.

    Its time is not part of the duration of the request, but of `http_server_wait_seconds`; the operations of databases
    and caches inside of it are waits, too.
    """

    __slots__ = ("_token", "_wait")

    def __enter__(self) -> Self:
        self._wait: RequestWait | None = None
        self._token: Token[bool] | None = None
        try:
            self._token = _asked.set(True)
            self._wait = RequestWait()
        except Exception as error:  # noqa: BLE001 - measuring must not fail the caller
            note_failure(error)
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            if self._wait is not None:
                self._wait.end()
            if self._token is not None:
                _asked.reset(self._token)
        except Exception as error:  # noqa: BLE001 - a generator may be closed in another context than it ran in
            note_failure(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)
