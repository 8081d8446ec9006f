"""One run, from the first request to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from perfloop_loadgen import outcomes
from perfloop_loadgen.runner.watch import Watch
from perfloop_loadgen.samples.book import Book, Load, Recorder
from perfloop_loadgen.samples.histogram import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.ports import Clock, Engine
    from perfloop_loadgen.runner.lane import Lane
    from perfloop_loadgen.samples.book import Tracing
    from perfloop_loadgen.summary.verdict import Generator
    from perfloop_loadgen.summary.workers import WorkerFigures

log = logging.getLogger(__name__)

# How often users are started and timeouts looked for: short against a ramp, long against the work it takes.
STEER_SECONDS = 0.05
# One window of the book is a second: the timeline's resolution.
ROLL_NANOSECONDS = SECOND


class LoadModel(Protocol):
    """The closed or the open model."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """Return all lanes, idle ones included."""

    def open(self, engine: Engine, recorder: Recorder, began: int) -> None:
        """Prepare; `began` is the moment at which the shape begins."""

    def steer(self, elapsed_seconds: float) -> None:
        """Follow the shape."""

    def stop(self) -> None:
        """Plan nothing more."""

    @property
    def waiting(self) -> int:
        """Return how many requests are due and wait for a free lane."""

    def abandon(self) -> None:
        """Drop what waits."""

    def close(self) -> None:
        """Close every connection."""

    def load_at(self, elapsed_seconds: float) -> Load:
        """Return the load at a moment."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends, unless it is stopped from outside."""

    duration_seconds: float | None
    timeout_seconds: float
    max_errors: int | None = None
    # The moment at which the load begins, in Unix seconds; None: as soon as the run is ready.
    start_unix: float | None = None


class Run:
    """Drives a load model against an engine and keeps the book."""

    def __init__(self, model: LoadModel, engine: Engine, book: Book, limits: Limits, clock: Clock) -> None:
        self._model = model
        self._engine = engine
        self._limits = limits
        self._clock = clock
        self._recorder = Recorder(book.labels)
        self._stop = asyncio.Event()
        # Moments on the run's clock; 0 is "not yet".
        self._began = self._rolled = self._ended = 0
        self.book = book
        self.watch = Watch()
        self.end_reason = ""
        self.grace_seconds = limits.timeout_seconds
        self.faults: list[str] = []
        # Of one process there is nothing else to say, and nothing that it does not know.
        self.notes: list[str] = []
        self.unknown = 0
        self.listeners: list[Callable[[float], None]] = []

    @property
    def planned_seconds(self) -> float | None:
        """Return how long the run is meant to last; None: until it is stopped."""
        return self._limits.duration_seconds

    @property
    def elapsed_seconds(self) -> float:
        """Return the time since the first request could start."""
        # Before a beginning that is waited for, there is none.
        return max(0, (self._ended or self._clock()) - self._began) / SECOND if self._began else 0.0

    @property
    def began_unix(self) -> float:
        """Return the wall time of the beginning, for people and Prometheus; the schedule is on the monotonic clock."""
        return time.time() - (self._clock() - self._began) / SECOND if self._began else time.time()

    def trace(self, tracer: Tracing) -> None:
        """Have a share of the requests carry a trace; before the run begins."""
        self._recorder.tracer = tracer

    def generator(self) -> Generator:
        """Return the figures of the generator itself."""
        return self.watch.sum_up(self.elapsed_seconds)

    def workers(self) -> list[WorkerFigures]:
        """Return the figures of each worker: there are none, the generator is this process."""
        return []

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run: nothing more starts, and what is under way has `grace_seconds` to finish."""
        if not self._stop.is_set():
            self.end_reason = reason
            self._stop.set()
        if grace_seconds is not None:
            self.grace_seconds = min(self.grace_seconds, grace_seconds)

    async def go(self, begin_at: int | None = None, join_at: int | None = None) -> None:
        """Run to the end; what was measured until then is in the book, whatever happens.

        Args:
            begin_at: the zero of the schedule on the run's clock, the same for all workers of a load; None: make ready
                and begin.
            join_at: when this run begins to send; None: at the beginning.
        """
        if begin_at is None and not await self._is_ready():
            return
        self._began = begin_at or self._first_moment()
        self._rolled = join_at or self._began
        if not await self._wait_for(self._rolled):
            self._began = 0  # it never did
            await self._engine.close()
            return
        try:
            self._model.open(self._engine, self._recorder, self._began)
            await self._drive()
            self._model.stop()
            await self._drain()
        finally:
            # Also after an exception: what was measured must be in the book, and no socket may stay open.
            self._ended = self._clock()
            self._cut_off()
            self._roll(self._ended)
            self._model.close()
            await self._engine.close()
            # An aborted connection closes its socket in the loop's next iterations: they must still happen.
            for _ in range(3):
                await asyncio.sleep(0)

    async def make_ready(self) -> None:
        """Do what takes time before the first request.

        Raises:
            TargetError: the host does not resolve.
        """
        await self._engine.open()

    async def _is_ready(self) -> bool:
        """Make ready; return whether that ended before the run was stopped: a name server may be silent for long."""
        ready, stopped = asyncio.create_task(self.make_ready()), asyncio.create_task(self._stop.wait())
        await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if ready.done():
            ready.result()
            return True
        ready.cancel()
        await asyncio.gather(ready, return_exceptions=True)
        return False

    def _first_moment(self) -> int:
        """Return when the load begins on the run's clock, by the wall clock where that says when."""
        now = self._clock()
        start = self._limits.start_unix
        if start is None:
            return now
        until_seconds = start - time.time()
        if until_seconds < 0:
            self.faults.append(f"it was ready {-until_seconds:.3g} s after the moment at which it was to begin")
        return now + round(until_seconds * SECOND)

    async def _wait_for(self, moment: int) -> bool:
        """Wait until a moment of the run's clock; return whether it came before the run was stopped."""
        wait_seconds = (moment - self._clock()) / SECOND
        if wait_seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_seconds)
        return not self._stop.is_set()

    async def _drive(self) -> None:
        duration = self._limits.duration_seconds
        while not self._stop.is_set():
            elapsed = self.elapsed_seconds
            if duration is not None and elapsed >= duration:
                return
            self._model.steer(elapsed)
            wait = STEER_SECONDS if duration is None else min(STEER_SECONDS, duration - elapsed)
            await self._wait(max(wait, 0.001))
            self._count_errors()

    async def _drain(self) -> None:
        until = self._clock() + round(self.grace_seconds * SECOND)
        while (self._model.waiting or self._busy_lanes()) and self._clock() < until:
            # Short: the run ends with its last answer, not up to a steering step later.
            await self._wait(0.005)
            # A signal may have shortened the grace meanwhile.
            until = min(until, self._clock() + round(self.grace_seconds * SECOND))

    async def _wait(self, wait_seconds: float) -> None:
        before = self._clock()
        await asyncio.sleep(wait_seconds)
        now = self._clock()
        self.watch.woke(now - before - round(wait_seconds * SECOND))
        self._time_out(now)
        if now - self._rolled >= ROLL_NANOSECONDS:
            self._roll(now)

    def _busy_lanes(self) -> list[Lane]:
        return [lane for lane in self._model.lanes if lane.busy]

    def _time_out(self, now: int) -> None:
        oldest = now - round(self._limits.timeout_seconds * SECOND)
        # All lanes, twenty times a second, instead of a timer for each request: that would cost more than the request.
        for lane in self._model.lanes:
            if lane.busy and lane.started < oldest:
                lane.give_up(outcomes.TIMEOUT, now)

    def _cut_off(self) -> None:
        self._model.abandon()
        now = self._clock()
        for lane in self._busy_lanes():
            lane.give_up(outcomes.CUT_OFF, now)

    def _count_errors(self) -> None:
        limit = self._limits.max_errors
        if limit is None:
            return
        # The window under way counts too: the limit must not be passed by a second's worth of errors.
        errors = sum(tally.errors for tally in (*self.book.totals, *self._recorder.windows))
        if errors >= limit:
            self.stop(f"max_errors: {errors} errors reached the limit of {limit}")

    def _roll(self, now: int) -> None:
        span = now - self._rolled
        cpu, lag = self.watch.look(span)
        elapsed = (now - self._began) / SECOND
        load = self._model.load_at(elapsed)
        self.book.add(
            self._recorder.take(),
            elapsed,
            span / SECOND,
            replace(load, cpu_ratio=cpu, loop_lag_seconds=lag, in_flight=len(self._busy_lanes())),
        )
        self._rolled = now
        for text in self._recorder.script_errors.take():
            log.warning("a scenario raised %s", text)
        for listener in self.listeners:
            listener(elapsed)
