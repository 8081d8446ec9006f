"""A run shared by worker processes: one schedule, one book."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.app import worker
from perfloop_loadgen.app.build import CLOCK
from perfloop_loadgen.app.shapes import build_shape
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary.verdict import Generator, busier

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from perfloop_loadgen.config import LoadTestConfig

# Time for every worker to hear of the common moment before it comes.
_LEAD_NANOSECONDS = 50_000_000


class _Member:
    """One worker as the parent knows it."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        self.load = Load()
        self.generator: Generator | None = None


class Fleet:
    """Looks like a `Run`, and is one in several processes."""

    def __init__(self, config: LoadTestConfig, open_book: Callable[[Labels], Book] = Book) -> None:
        self._config = config
        self._members: list[_Member] = []
        self._pending: list[Tally] = []
        self._began = self._rolled = self._ended = 0
        self._stop: tuple[str, float] | None = None
        self.planned_seconds = build_shape(config).duration_seconds
        self.book = open_book(Labels())
        self.end_reason = ""
        self.grace_seconds = config.timeout_seconds
        self.troubles: list[str] = []
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
        """Return how the busiest worker fared."""
        known = [member.generator for member in self._members if member.generator is not None]
        return replace(reduce(busier, known, Generator()), workers=len(self._members))

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run in every worker."""
        self.end_reason = self.end_reason or reason
        self._stop = (reason, self.grace_seconds if grace_seconds is None else grace_seconds)
        for member in self._members:
            self._tell(member, (worker.STOP, self._stop))

    async def go(self) -> None:
        """Run to the end; what was measured until then stands in the book, whatever happens."""
        try:
            self._start()
            for member in self._members:
                await member.ready.wait()
            if self.troubles:
                raise TargetError(self.troubles[0])
            self._began = self._rolled = CLOCK() + _LEAD_NANOSECONDS
            for member in self._members:
                self._tell(member, (worker.BEGIN, self._began))
            await self._keep_book()
        finally:
            self._ended = CLOCK()
            if self._began:
                self._roll()
            await self._dismiss()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        loop = asyncio.get_running_loop()
        for index in range(self._config.workers):
            here, there = context.Pipe()
            share = (index, self._config.workers)
            # The limit on errors is over all workers: only the parent can see it reached.
            config = self._config.model_dump(
                mode="json", by_alias=True, exclude={"workers", "max_errors", "thresholds"}
            )
            process = context.Process(target=worker.work, args=(there, config, share), daemon=True)
            process.start()
            there.close()
            member = _Member(process, here)
            self._members.append(member)
            loop.add_reader(here.fileno(), self._hear, member)

    async def _keep_book(self) -> None:
        while not all(member.over.is_set() for member in self._members):
            await asyncio.sleep(0.05)
            if CLOCK() - self._rolled >= SECOND:
                self._roll()
            self._count_errors()

    def _hear(self, member: _Member) -> None:
        try:
            kind, told = member.pipe.recv()
        except (EOFError, OSError):
            self._part(member)
            return
        if kind == worker.READY:
            member.ready.set()
        elif kind == worker.WINDOWS:
            self._take(member, *told)
        elif kind == worker.DONE:
            member.generator, reason = told
            self.end_reason = self.end_reason or reason
            member.over.set()
        else:
            self.troubles.append(told)

    def _part(self, member: _Member) -> None:
        asyncio.get_running_loop().remove_reader(member.pipe.fileno())
        if not member.over.is_set() and not self.troubles:
            number = self._members.index(member) + 1
            self.troubles.append(f"worker {number} of {len(self._members)} died before the run was over")
        member.ready.set()
        member.over.set()

    def _take(self, member: _Member, labels: list[str], windows: list[dict[str, Any]], load: Load) -> None:
        member.load = load
        for label, wire in zip(labels, windows, strict=False):
            index = self.book.labels.index(label)
            self._pending += [Tally() for _ in range(len(self.book.labels) - len(self._pending))]
            self._pending[index].add(Tally.from_wire(wire))

    def _roll(self) -> None:
        now = CLOCK()
        windows = self._pending + [Tally() for _ in range(len(self.book.labels) - len(self._pending))]
        self._pending = []
        loads = [member.load for member in self._members]
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

    def _tell(self, member: _Member, message: Any) -> None:
        try:
            member.pipe.send(message)
        except OSError:
            self._part(member)

    async def _dismiss(self) -> None:
        loop = asyncio.get_running_loop()
        for member in self._members:
            if not member.pipe.closed:
                loop.remove_reader(member.pipe.fileno())
                member.pipe.close()
        for member in self._members:
            await asyncio.to_thread(member.process.join, 2)
            if member.process.is_alive():
                member.process.kill()
