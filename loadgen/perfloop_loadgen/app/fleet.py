"""A run shared by worker processes: one schedule, one book.

The parent starts the workers, gives them one common moment to begin at, and merges what they count each second into
its own book; histograms add up without loss. Messages go over a pipe as (kind, content):

    parent -> worker   BEGIN moment | STOP (reason, grace seconds)
    worker -> parent   READY | WINDOWS (labels, tallies, load) | LOG (logger, level, message)
                       DONE (generator, end reason) | ERROR sentence
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import signal
import time
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import uvloop

from perfloop_base.errors import PerfloopError
from perfloop_loadgen.app.build import CLOCK, Share, build_run, build_shape
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary.verdict import Generator, busier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from perfloop_loadgen.runner.run import Run

_BEGIN, _STOP = "begin", "stop"
_READY, _WINDOWS, _LOG, _DONE, _ERROR = "ready", "windows", "log", "done", "error"
# Time for the common moment to reach every worker before it comes.
_LEAD_NANOSECONDS = 50_000_000


class _Worker:
    """One worker as the parent knows it."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        self.load = Load()
        self.generator: Generator | None = None


class Fleet:
    """A run in several processes."""

    def __init__(self, config: LoadTestConfig, open_book: Callable[[Labels], Book] = Book) -> None:
        self._config = config
        self._workers: list[_Worker] = []
        self._pending: list[Tally] = []
        self._began = self._rolled = self._ended = 0
        self._stop: tuple[str, float] | None = None
        self._logged: set[str] = set()
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
            self._send(worker, (_STOP, self._stop))

    async def go(self) -> None:
        """Run to the end; what was measured until then is in the book, whatever happens."""
        try:
            self._start()
            for worker in self._workers:
                await worker.ready.wait()
            if self.faults:
                raise TargetError(self.faults[0])
            self._began = self._rolled = CLOCK() + _LEAD_NANOSECONDS
            for worker in self._workers:
                self._send(worker, (_BEGIN, self._began))
            await self._keep_book()
        finally:
            self._ended = CLOCK()
            if self._began:
                self._roll()
            await self._end_workers()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        loop = asyncio.get_running_loop()
        for index in range(self._config.workers):
            ours, theirs = context.Pipe()
            share = (index, self._config.workers)
            # The limit on errors is over all workers: only the parent can see it reached.
            config = self._config.model_dump(
                mode="json", by_alias=True, exclude={"workers", "max_errors", "thresholds"}
            )
            process = context.Process(target=work, args=(theirs, config, share), daemon=True)
            process.start()
            theirs.close()
            worker = _Worker(process, ours)
            self._workers.append(worker)
            loop.add_reader(ours.fileno(), self._receive, worker)

    async def _keep_book(self) -> None:
        while not all(worker.over.is_set() for worker in self._workers):
            await asyncio.sleep(0.05)
            if CLOCK() - self._rolled >= SECOND:
                self._roll()
            self._count_errors()

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker)
            return
        if kind == _READY:
            worker.ready.set()
        elif kind == _WINDOWS:
            self._take(worker, *content)
        elif kind == _LOG:
            self._log(*content)
        elif kind == _DONE:
            worker.generator, reason = content
            self.end_reason = self.end_reason or reason
            worker.over.set()
        else:
            self.faults.append(content)

    def _lose(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.pipe.fileno())
        if not worker.over.is_set() and not self.faults:
            number = self._workers.index(worker) + 1
            self.faults.append(f"worker {number} of {len(self._workers)} died before the run was over")
        worker.ready.set()
        worker.over.set()

    def _take(self, worker: _Worker, labels: list[str], windows: list[dict[str, Any]], load: Load) -> None:
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

    def _send(self, worker: _Worker, message: tuple[str, Any]) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            self._lose(worker)

    async def _end_workers(self) -> None:
        loop = asyncio.get_running_loop()
        for worker in self._workers:
            if not worker.pipe.closed:
                loop.remove_reader(worker.pipe.fileno())
                worker.pipe.close()
        for worker in self._workers:
            await asyncio.to_thread(worker.process.join, 2)
            if worker.process.is_alive():
                worker.process.kill()


class _SendingBook(Book):
    """The book of a worker: every entry is also sent to the parent."""

    def __init__(self, labels: Labels, pipe: Connection) -> None:
        super().__init__(labels)
        self._pipe = pipe

    def add(self, windows: Sequence[Tally], elapsed_seconds: float, span_seconds: float, load: Load) -> None:
        """Keep and send what was counted."""
        super().add(windows, elapsed_seconds, span_seconds, load)
        self._pipe.send((_WINDOWS, (list(self.labels), [window.to_wire() for window in windows], load)))


class _SendingHandler(logging.Handler):
    """The log of a worker: the parent writes it, in its own format."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record to the parent."""
        with contextlib.suppress(OSError):  # the parent has ended
            self._pipe.send((_LOG, (record.name, record.levelno, record.getMessage())))


def work(pipe: Connection, config: dict[str, Any], share: Share) -> None:
    """Be a worker process until the run is over or the parent has ended."""
    # A Ctrl-C reaches the whole group: the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger().handlers[:] = [_SendingHandler(pipe)]
    try:
        uvloop.run(_work(pipe, LoadTestConfig.model_validate(config), share))
    except PerfloopError as error:
        pipe.send((_ERROR, str(error)))
    except (BrokenPipeError, EOFError):
        pass  # the parent has ended, and with it everything that would read the results


async def _work(pipe: Connection, config: LoadTestConfig, share: Share) -> None:
    run = build_run(config, share, lambda labels: _SendingBook(labels, pipe))
    await run.make_ready()
    gc.freeze()  # as the session does
    pipe.send((_READY, None))
    _, moment = await asyncio.to_thread(pipe.recv)
    asyncio.get_running_loop().add_reader(pipe.fileno(), _obey, pipe, run)
    await run.go(moment)
    pipe.send((_DONE, (run.generator(), run.end_reason)))


def _obey(pipe: Connection, run: Run) -> None:
    try:
        _, (reason, grace) = pipe.recv()
    except (EOFError, OSError):
        asyncio.get_running_loop().remove_reader(pipe.fileno())
        reason, grace = "the parent process has ended", 0.0
    run.stop(reason, grace)
