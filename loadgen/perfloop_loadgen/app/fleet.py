"""A run shared by worker processes: one schedule, one book.

The parent starts the workers, gives them one common moment to begin at, and merges what they count each second into
its own book; histograms add up without loss. A worker that is killed or frozen makes the run invalid and never late:
each one is heard every second, by a thread of its own, since a message that stops half way would stop the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import time
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.app.build import CLOCK, build_shape
from perfloop_loadgen.app.worker import BEGIN, DONE, ERROR, LOG, READY, STOP, WINDOWS, WorkerHandle
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary.verdict import Generator, busier

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.config import LoadTestConfig

# Time for the common moment to reach every worker before it comes.
_LEAD_NANOSECONDS = 50_000_000
_STEP_SECONDS = 0.05
# To start Python and import takes a second; a busy machine may need many, and a name server its own time limit.
_READY_SECONDS = 60.0
# Workers report every second. One that is silent for so long is frozen, and its figures would be worthless.
_SILENT_NANOSECONDS = 5 * SECOND
# How long workers may take to end once their pipe is closed.
_END_SECONDS = 2.0


class Fleet:
    """A run in several processes."""

    def __init__(self, config: LoadTestConfig, open_book: Callable[[Labels], Book] = Book) -> None:
        self._config = config
        self._workers: list[WorkerHandle] = []
        self._pending: list[Tally] = []
        self._began = self._rolled = self._ended = 0
        self._stop: tuple[str, float] | None = None
        self._logged: set[str] = set()
        # Why no worker could begin: what a single process would have raised.
        self._error = ""
        self.planned_seconds = build_shape(config).duration_seconds
        self.book = open_book(Labels())
        self.end_reason = ""
        self.grace_seconds = config.timeout_seconds
        self.faults: list[str] = []
        self.listeners: list[Callable[[float], None]] = []

    @property
    def elapsed_seconds(self) -> float:
        """Return the time since the first request could start."""
        return ((self._ended or CLOCK()) - self._began) / SECOND if self._began else 0.0

    @property
    def began_unix(self) -> float:
        """Return the wall time of the beginning."""
        return time.time() - (CLOCK() - self._began) / SECOND if self._began else time.time()

    def generator(self) -> Generator:
        """Return the figures of the busiest worker."""
        known = [worker.generator for worker in self._workers if worker.generator is not None]
        return replace(reduce(busier, known, Generator()), workers=len(self._workers))

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run in every worker."""
        self.end_reason = self.end_reason or reason
        self._stop = (reason, self.grace_seconds if grace_seconds is None else grace_seconds)
        for worker in self._workers:
            self._send(worker, STOP, self._stop)

    async def go(self) -> None:
        """Run to the end; what was measured until then is in the book, whatever happens.

        Raises:
            TargetError: no request can be sent, for the reason that the workers gave.
        """
        try:
            self._start()
            await self._wait_until_ready()
            if self._error:
                raise TargetError(self._error)
            if not self.faults and self._stop is None:
                self._began = self._rolled = CLOCK() + _LEAD_NANOSECONDS
                for worker in self._workers:
                    self._send(worker, BEGIN, self._began)
                await self._keep_book()
        finally:
            self._ended = CLOCK()
            if self._began:
                self._roll()
            await self._end_workers()

    def _start(self) -> None:
        # The limit on errors is over all workers: only the parent can see it reached.
        excluded = {"workers", "max_errors", "thresholds"}
        # To a worker, everything that it gets is set: so it does not get what is another thing when it is not.
        if not self._config.requested:
            excluded.add("endpoints")
        if "duration_seconds" not in self._config.model_fields_set:
            excluded.add("duration_seconds")
        config = self._config.model_dump(mode="json", by_alias=True, exclude=excluded)
        loop = asyncio.get_running_loop()

        def receive(worker: WorkerHandle, kind: str, content: Any) -> None:
            loop.call_soon_threadsafe(self._receive, worker, kind, content)

        context = multiprocessing.get_context("spawn")
        for index in range(self._config.workers):
            try:
                worker = WorkerHandle(context, config, (index, self._config.workers), receive)
            except OSError as error:
                number = f"worker {index + 1} of {self._config.workers}"
                self.faults.append(f"{number} could not be started: {error.strerror or error}")
                return
            self._workers.append(worker)

    async def _wait_until_ready(self) -> None:
        until = CLOCK() + round((_READY_SECONDS + self._config.timeout_seconds) * SECOND)
        while not (all(worker.ready for worker in self._workers) or self.faults or self._error or self._stop):
            await asyncio.sleep(_STEP_SECONDS / 5)
            if CLOCK() > until:
                self.faults.append("not every worker was ready in time")

    async def _keep_book(self) -> None:
        for worker in self._workers:
            worker.heard = CLOCK()
        while not all(worker.over for worker in self._workers):
            before = CLOCK()
            await asyncio.sleep(_STEP_SECONDS)
            now = CLOCK()
            if now - before > SECOND:
                # This process was frozen itself: what the workers sent meanwhile has not been read yet.
                for worker in self._workers:
                    worker.heard = now
            if now - self._rolled >= SECOND:
                self._roll()
            self._count_errors()
            self._look_for_frozen(now)

    def _look_for_frozen(self, now: int) -> None:
        for worker in self._workers:
            if not worker.over and now - worker.heard > _SILENT_NANOSECONDS:
                self._lose(worker, f"did not report for {_SILENT_NANOSECONDS // SECOND} s and was ended")
                worker.process.kill()

    def _receive(self, worker: WorkerHandle, kind: str, content: Any) -> None:
        worker.heard = max(worker.heard, CLOCK())
        if kind == READY:
            worker.ready = True
        elif kind == WINDOWS:
            self._take(worker, *content)
        elif kind == LOG:
            self._log(*content)
        elif kind == DONE:
            worker.generator, reason = content
            self.end_reason = self.end_reason or reason
            worker.over = True
        elif kind == ERROR and not self._began:
            self._error = self._error or content
        elif kind == ERROR:
            self._lose(worker, f"ended: {content}")
        else:
            self._lose(worker, "died before the run was over")

    def _lose(self, worker: WorkerHandle, how: str) -> None:
        if not worker.over and not self._error:
            number = self._workers.index(worker) + 1
            self.faults.append(f"worker {number} of {len(self._workers)} {how}")
        worker.over = True

    def _take(self, worker: WorkerHandle, labels: list[str], windows: list[dict[str, Any]], load: Load) -> None:
        if worker.over:
            return  # what comes after it was given up would be counted into a run that has ended
        worker.load = load
        for label, wire in zip(labels, windows, strict=False):
            index = self.book.labels.index(label)
            self._pending += [Tally() for _ in range(len(self.book.labels) - len(self._pending))]
            self._pending[index].add(Tally.from_wire(wire))

    def _log(self, name: str, level: int, message: str) -> None:
        # Every worker runs the same scenario: what all of them report is logged once.
        if message not in self._logged:
            self._logged.add(message)
            logging.getLogger(name).log(level, "%s", message)

    def _roll(self) -> None:
        """Enter what has come since last time in the book."""
        now = CLOCK()
        windows = self._pending + [Tally() for _ in range(len(self.book.labels) - len(self._pending))]
        self._pending = []
        loads = [worker.load for worker in self._workers]
        load = Load(
            users=sum(one.users for one in loads),
            target_rate=loads[0].target_rate,
            cpu_ratio=max(one.cpu_ratio for one in loads),
            loop_lag_seconds=max(one.loop_lag_seconds for one in loads),
            phase=loads[0].phase,
            waiting=sum(one.waiting for one in loads),
            in_flight=sum(one.in_flight for one in loads),
        )
        span = max(now - self._rolled, 1)
        self.book.add(windows, (now - self._began) / SECOND, span / SECOND, load)
        self._rolled = now
        for listener in self.listeners:
            listener(self.elapsed_seconds)

    def _count_errors(self) -> None:
        limit = self._config.max_errors
        if limit is None or self._stop is not None:
            return
        errors = sum(tally.errors for tally in (*self.book.totals, *self._pending))
        if errors >= limit:
            self.stop(f"max_errors: {errors} errors reached the limit of {limit}")

    def _send(self, worker: WorkerHandle, kind: str, content: Any) -> None:
        try:
            worker.pipe.send((kind, content))
        except OSError:
            self._lose(worker, "died before the run was over")

    async def _end_workers(self) -> None:
        for worker in self._workers:
            worker.over = True
            worker.hang_up()
        until = CLOCK() + round(_END_SECONDS * SECOND)
        while CLOCK() < until and any(worker.process.is_alive() for worker in self._workers):  # noqa: ASYNC110 - a process is no event
            await asyncio.sleep(_STEP_SECONDS / 5)
        for worker in self._workers:
            # SIGKILL ends a frozen process too, which no other signal does.
            worker.process.kill()
            await asyncio.to_thread(worker.process.join, _END_SECONDS)
            worker.close()
