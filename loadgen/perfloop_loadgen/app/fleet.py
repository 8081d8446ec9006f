"""A run shared by workers: one schedule, one book.

The fleet gives its workers one common moment to begin at, and merges what they count each second into its own book;
histograms add up without loss. A worker that is killed or frozen makes the run invalid and never late: each one is
heard every second. Or, where the test says so, the others take over its share of the load from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.app.build import CLOCK, build_shape
from perfloop_loadgen.app.crew import Load as HiredLoad
from perfloop_loadgen.app.crew import ProcessCrew
from perfloop_loadgen.app.member import Member
from perfloop_loadgen.app.worker import BEGIN, BEGUN, DONE, ERROR, LOG, READY, STOP, TAKE, WINDOWS
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.pacing import RateShape, due_between
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.merging import together
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.shares import parts_of
from perfloop_loadgen.summary.verdict import Generator, busier

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.app.crew import Crew
    from perfloop_loadgen.app.worker import Counted
    from perfloop_loadgen.app.workplace import Workplace
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.shares import Share
    from perfloop_loadgen.summary.workers import WorkerFigures

log = logging.getLogger(__name__)

_STEP_SECONDS = 0.05
# To start Python and import takes a second; a busy machine may need many, and a name server its own time limit.
_READY_SECONDS = 60.0
# Workers report every second. One that is silent for so long is frozen, and its figures would be worthless.
_SILENT_NANOSECONDS = 5 * SECOND
_LATE_NANOSECONDS = 5 * SECOND // 2
# To a worker, everything that it gets is set; the limit on errors is over all workers: only the fleet sees it reached.
_NOT_FOR_WORKERS = frozenset({"workers", "on_lost_worker", "max_errors", "thresholds"})


class Fleet:
    """A run in several processes, of this machine or of others.

    Args:
        config: the test.
        open_book: makes the book.
        workplace: where the workers are, how much of the load they have together, and when it begins.
    """

    def __init__(
        self, config: LoadTestConfig, open_book: Callable[[Labels], Book] = Book, workplace: Workplace | None = None
    ) -> None:
        self._config = config
        self._share: Share = (0, 1) if workplace is None else workplace.share
        self._start_unix = None if workplace is None else workplace.start_unix
        self._crew: Crew = ProcessCrew() if workplace is None or workplace.crew is None else workplace.crew()
        self._shape = build_shape(config)
        self._members: list[Member] = []
        self._pending: list[Tally] = []
        self._began = self._rolled = self._ended = 0
        self._stop: tuple[str, float] | None = None
        self._stopped = asyncio.Event()
        # What was said before everybody was hired.
        self._early: list[tuple[int, str, Any]] = []
        self._logged: set[str] = set()
        # Why no worker could begin: what a single process would have raised.
        self._error = ""
        # What nobody knows of: the shares of workers that were lost, with the seconds of the load that they lack.
        self._gaps: list[tuple[Share, float, float]] = []
        self.planned_seconds = self._shape.duration_seconds
        self.book = open_book(Labels())
        self.end_reason = ""
        self.grace_seconds = config.timeout_seconds
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.unknown = 0
        self.listeners: list[Callable[[float], None]] = []

    @property
    def elapsed_seconds(self) -> float:
        """Return the time since the first request could start."""
        return max(0, (self._ended or CLOCK()) - self._began) / SECOND if self._began else 0.0

    @property
    def began_unix(self) -> float:
        """Return the wall time of the beginning."""
        return time.time() - (CLOCK() - self._began) / SECOND if self._began else time.time()

    def generator(self) -> Generator:
        """Return the figures of the busiest worker in every respect."""
        known = [member.generator for member in self._members if member.generator is not None]
        return replace(reduce(busier, known, Generator()), workers=len(self._members))

    def workers(self) -> list[WorkerFigures]:
        """Return the figures of each worker."""
        return [member.figures() for member in self._members]

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run in every worker."""
        self.end_reason = self.end_reason or reason
        self._stop = (reason, self.grace_seconds if grace_seconds is None else grace_seconds)
        self._stopped.set()
        for member in self._members:
            self._send(member, STOP, self._stop)

    async def go(self) -> None:
        """Run to the end; what was measured until then is in the book, whatever happens.

        Raises:
            ConfigError: the workers cannot be given this test.
            TargetError: no request can be sent, for the reason that the workers gave.
        """
        try:
            await self._hire()
            await self._wait_until_ready()
            if self._error:
                raise TargetError(self._error)
            if not self.faults and self._stop is None:
                self._began = self._rolled = self._first_moment()
                for member in self._members:
                    self._send(member, BEGIN, self._began + member.line.clock_ahead)
                await self._keep_book()
        finally:
            self._ended = CLOCK()
            if self._began:
                self._roll()
                self._note_gaps()
            for member in self._members:
                member.over = True
            await self._crew.dismiss()

    async def _hire(self) -> None:
        """Hire the workers, unless the run is stopped meanwhile: a cluster may take its time."""
        config = self._config
        excluded = set(_NOT_FOR_WORKERS)
        # What is another thing when it is not set.
        if not config.requested:
            excluded.add("endpoints")
        if "duration_seconds" not in config.model_fields_set:
            excluded.add("duration_seconds")
        load = HiredLoad(config, config.model_dump(mode="json", by_alias=True, exclude=excluded), self._share)
        hiring = asyncio.ensure_future(self._crew.hire(load, self._receive, self.faults))
        stopped = asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait((hiring, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not hiring.done():
            hiring.cancel()
            await asyncio.wait((hiring,))
        if hiring.cancelled():
            return
        lines = hiring.result()
        self._members += (Member(line, number, len(lines)) for number, line in enumerate(lines, 1))
        for member, share in zip(self._members, parts_of(self._share, len(lines)), strict=True):
            member.shares.append((share, 0.0))
        early, self._early = self._early, []
        for number, kind, content in early:
            self._receive(number, kind, content)
        if self._stop is not None:
            self.stop(*self._stop)

    async def _wait_until_ready(self) -> None:
        until = CLOCK() + round((_READY_SECONDS + self._config.timeout_seconds) * SECOND)
        while not (all(member.ready for member in self._members) or self.faults or self._error or self._stop):
            await asyncio.sleep(_STEP_SECONDS / 5)
            if CLOCK() > until:
                self.faults += (f"{one.title} was not ready in time" for one in self._members if not one.ready)

    def _first_moment(self) -> int:
        now = CLOCK()
        soonest = now + self._crew.lead_nanoseconds
        if self._start_unix is None:
            return soonest
        start = now + round((self._start_unix - time.time()) * SECOND)
        if start < soonest:
            late = (soonest - start) / SECOND
            self.faults.append(f"the workers were ready {late:.3g} s after the moment at which they were to begin")
        return start

    async def _keep_book(self) -> None:
        for member in self._members:
            member.heard = CLOCK()
        while not all(member.over for member in self._members):
            before = CLOCK()
            await asyncio.sleep(_STEP_SECONDS)
            now = CLOCK()
            if now - before > SECOND:
                # This process was frozen itself: what the workers sent meanwhile has not been read yet.
                for member in self._members:
                    member.heard = now
            if now - self._rolled >= SECOND:
                self._roll()
            self._count_errors()
            if now > self._began:
                self._look_for_frozen(now)

    def _look_for_frozen(self, now: int) -> None:
        for member in self._members:
            silent = now - max(member.heard, self._began)
            if member.over or silent <= _LATE_NANOSECONDS:
                member.is_late = False
            elif silent > _SILENT_NANOSECONDS:
                self._lose(member, f"did not report for {_SILENT_NANOSECONDS // SECOND} s and was ended")
                member.line.end()
            elif not member.is_late:
                member.is_late = True
                log.warning("%s has not reported for %.1f s", member.title, silent / SECOND)

    def _receive(self, number: int, kind: str, content: Any) -> None:
        if number >= len(self._members):
            self._early.append((number, kind, content))
        else:
            self._hear(self._members[number], kind, content)

    def _hear(self, member: Member, kind: str, content: Any) -> None:
        member.heard = max(member.heard, CLOCK())
        if kind == READY:
            member.ready = True
        elif kind == BEGUN:
            member.began_late = content
        elif kind == WINDOWS:
            self._take(member, content)
        elif kind == LOG:
            self._log(*content)
        elif kind == DONE:
            member.generator, reason = content
            self.end_reason = self.end_reason or reason
            member.over = True
        elif kind == ERROR and not self._began:
            self._error = self._error or (f"{member.title}: {content}" if member.line.name else content)
        elif kind == ERROR:
            self._lose(member, f"ended: {content}")
        else:
            # Without a reason it is its owner who says so, and the process has ended.
            self._lose(member, content or "died before the run was over", is_silent=content is None)

    def _lose(self, member: Member, how: str, *, is_silent: bool = False) -> None:
        if member.over or self._error:
            member.over = True
            return
        member.over, member.lost = True, how
        member.loads.clear()
        rest = [one for one in self._members if not one.over]
        if not self._began or not rest or self._config.on_lost_worker != "take-over" or self._stop is not None:
            self.faults.append(f"{member.title} {how}")
            return
        self._hand_over(member, rest, 0 if is_silent else self._crew.lease_nanoseconds)
        log.warning("%s %s: the others take its share of the load over", member.title, how)

    def _hand_over(self, lost: Member, rest: list[Member], lease_nanoseconds: int) -> None:
        """Divide the shares of a worker that was lost among the others, from when it is silent for sure.

        A worker that cannot be heard may still send, until its lease ends: nothing is to be sent twice.
        """
        at = (CLOCK() + self._crew.lead_nanoseconds + lease_nanoseconds - self._began) / SECOND
        for share, since in lost.shares:
            self._gaps.append((share, max(lost.reported_seconds, since), at))
            if self.planned_seconds is not None and at >= self.planned_seconds:
                continue  # nothing of it is left
            for member, part in zip(rest, parts_of(share, len(rest)), strict=True):
                member.shares.append((part, at))
                self._send(member, TAKE, (part, at))

    def _note_gaps(self) -> None:
        """Say what nobody knows of: requests that a lost worker sent and did not report, or never sent."""
        ended = self.elapsed_seconds if self.planned_seconds is None else self.planned_seconds
        if isinstance(self._shape, RateShape):
            self.unknown = sum(
                due_between(self._shape, share, since, min(until, ended)) for share, since, until in self._gaps
            )
        for member in self._members:
            if not member.lost or f"{member.title} {member.lost}" in self.faults:
                continue
            spans = [(since, until) for share, since, until in self._gaps if share in {one for one, _ in member.shares}]
            since, until = min(one for one, _ in spans), max(one for _, one in spans)
            self.notes.append(
                f"{member.title} {member.lost}; the others took its share over: of what was due from it between second "
                f"{since:.1f} and {min(until, ended):.1f} nothing is known"
            )
        if self.unknown:
            self.notes.append(
                f"{self.unknown} arrivals of the schedule are of workers that were lost, and in no number"
            )

    def _take(self, member: Member, counted: Counted) -> None:
        if member.over:
            return  # what comes after it was given up would be counted into a run that has ended
        member.loads[counted.share] = counted.load
        member.reported_seconds = max(member.reported_seconds, counted.elapsed_seconds)
        for label, wire in zip(counted.labels, counted.windows, strict=False):
            tally = Tally.from_wire(wire)
            member.count(tally)
            index = self.book.labels.index(label)
            self._pending += [Tally() for _ in range(len(self.book.labels) - len(self._pending))]
            self._pending[index].add(tally)

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
        loads = [load for member in self._members for load in member.loads.values()]
        span = max(now - self._rolled, 1)
        self.book.add(windows, self.elapsed_seconds, span / SECOND, together(loads) if loads else Load())
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

    def _send(self, member: Member, kind: str, content: Any) -> None:
        with contextlib.suppress(OSError):  # its own line says that it has ended
            member.line.send(kind, content)
