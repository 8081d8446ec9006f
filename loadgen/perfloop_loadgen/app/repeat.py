"""One test run several times: how well its result repeats, or as many runs as a narrow interval takes.

    async for document in runs_of(config, 5): ...     # one document a run, each as its run ends

`RepeatTester` adds them up into one result. It ends as soon as the interval of the p95 between runs is narrow enough.
To look after every run and to stop at the first success makes a 95% interval hold a little less often than 95 times in
a hundred (Chow and Robbins 1965); a least number of runs keeps that small.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.interrupting import until_interrupted
from perfloop_loadgen.app.server_watch import watch_server
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.app.workplace import HERE, Workplace
from perfloop_loadgen.compare.interval import MIN_RUNS, interval_of, runs_needed
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.reporters.exposition import LiveRun
from perfloop_loadgen.run_flags import MOST_RUNS
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tee import TeeBook
from perfloop_loadgen.summary import Summary, summarize
from perfloop_loadgen.summary.document import Document, distribution_of, iso_time
from perfloop_loadgen.summary.measured import histograms_of
from perfloop_loadgen.summary.repeats import RepeatRow, Repeats
from perfloop_loadgen.summary.verdict import GateResult, Generator, Verdict, busier

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.document import TrialRow
    from perfloop_loadgen.summary.server import Server

# Of an interval that is asked for: fewer runs are often alike by chance alone.
LEAST_RUNS = 5
# The last one of a gate's text is its own: a PromQL expression before it may have others.
_SIGN = re.compile("[<>]")


@dataclass(frozen=True, slots=True)
class Repetition:
    """How often a test is run: `least` times, and on to `most` while the interval is wider than asked.

    Attributes:
        interval_ratio: the half width of the p95's interval that is narrow enough, as a share; None: none is asked for.
        within_seconds: no run begins that would end later than this after the first one's beginning.
    """

    least: int
    most: int
    interval_ratio: float | None = None
    within_seconds: float | None = None

    @classmethod
    def of(
        cls, repeat: int | None, interval_ratio: float | None, most: int | None, within_seconds: float | None
    ) -> Repetition | None:
        """Return what a user asks for, each part of it or none; None: the test is run once.

        Raises:
            ConfigError: the parts exclude each other.
        """
        if interval_ratio is None and (most is not None or within_seconds is not None):
            raise ConfigError("--max-repeats and --max-time go with --until-interval")
        if interval_ratio is None:
            return None if repeat is None or repeat == 1 else cls(repeat, repeat)
        highest = max(MOST_RUNS if most is None else most, MIN_RUNS)
        if repeat is not None and most is not None and repeat > most:
            raise ConfigError(f"--repeat {repeat} is more than --max-repeats {most}")
        least = min(LEAST_RUNS, highest) if repeat is None else max(repeat, MIN_RUNS)
        return cls(least, max(highest, least), interval_ratio, within_seconds)


async def runs_of(  # noqa: PLR0913 - how each run is made, by name
    config: LoadTestConfig,
    most: int,
    *,
    open_book: Callable[[Labels], Book] = Book,
    started: Callable[[LoadTester], None] = lambda _: None,
    with_server: bool = False,
    workplace: Workplace = HERE,
) -> AsyncGenerator[Document]:
    """Run a test again and again, and yield the document of each run as it ends. Whoever iterates may end it any time.

    Args:
        config: the test.
        most: how many runs at most.
        open_book: makes the book of each run.
        started: called with each run's tester before it begins, so that somebody can stop it or listen.
        with_server: whether each document has the service's series, for which each run waits for a scrape.
        workplace: where the load is sent from.

    Raises:
        ConfigError: a gate, a file or a scenario of the configuration cannot be used.
        TargetError: the host of `base_url` does not resolve.
    """
    for number in range(most):
        tester = LoadTester(config.of_round(number), open_book, with_server=with_server, workplace=workplace)
        started(tester)
        summary = await tester.measure()
        yield tester.document(summary)


class RepeatTester:
    """Runs a test as often as a repetition asks, as one test: its numbers are those of all runs together.

    Raises:
        ConfigError: the test has no end, or is a search, or something in it cannot be used.
    """

    is_endless = False

    def __init__(self, config: LoadTestConfig, repetition: Repetition, workplace: Workplace = HERE) -> None:
        if isinstance(config.load, BreakpointConfig):
            raise ConfigError("a breakpoint search is not repeated: its rates are tried again until one is confirmed")
        self.config = config
        self.repetition = repetition
        # Built for its problems, before anything runs, and for how long each run takes.
        self._tester = LoadTester(config, workplace=workplace)
        self._workplace = workplace
        if self._tester.is_endless:
            raise ConfigError("only a test that ends can be repeated: give it a duration")
        self.run_id = uuid.uuid4().hex[:12]
        self.profile = self._tester.profile
        self.planned_seconds: float | None = None
        self.book = Book(Labels())
        self.listeners: list[Callable[[float], None]] = []
        self.trial_listeners: list[Callable[[TrialRow], None]] = []
        # Called with a line about each run as it ends.
        self.line_listeners: list[Callable[[str], None]] = []
        self.only_queries_failed = False
        # Whether there is no result for one reason alone: more runs would be needed.
        self.needs_more_runs = False
        # Of each run, in order: what the store of runs keeps.
        self.documents: list[Document] = []
        self._rows: list[RepeatRow] = []
        self._unanswered: list[bool] = []
        self._generator = Generator()
        self._began = self._started_at = 0.0
        self._run_seconds = 0.0
        self._stopped = ""
        self._hurry = asyncio.Event()
        self._server: Server | None = None

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run under way and begin no other; the runs so far are kept."""
        self._stopped = reason
        self._hurry.set()
        self._tester.stop(reason, grace_seconds)

    async def run_load_test(self) -> Summary:
        """Repeat, and return the numbers of all runs together; Ctrl-C and a cancellation end the runs, not this."""
        return await until_interrupted(self._repeat(), self.stop)

    async def _repeat(self) -> Summary:
        self._began, self._started_at = time.monotonic(), time.time()
        runs = runs_of(
            self.config,
            self.repetition.most,
            open_book=self._open_book,
            started=self._follow,
            workplace=self._workplace,
        )
        async with aclosing(runs):
            try:
                async for document in runs:
                    self._enter(document)
                    if self._is_enough():
                        break
            except TargetError as error:
                if not self._rows:
                    raise
                # The runs so far have their result all the same.
                self._stopped = str(error)
        concluded = self._conclude()
        span = (self._started_at, self._started_at + time.monotonic() - self._began)
        self._server = await watch_server(self.config, span, concluded, self._hurry)
        return concluded

    def summary(self) -> Summary:
        """Return the numbers so far, not judged; the duration is that of the runs, without what lies between them."""
        seconds = self._run_seconds + (self._tester.run.elapsed_seconds if self._is_under_way else 0.0)
        return summarize(self.config.name, self.book, seconds, self._stopped)

    def live(self) -> LiveRun:
        """Return the runs as the metrics page shows them: as one."""
        return LiveRun(self.config.name, self.run_id, self.profile, self.book)

    def document(self, summary: Summary) -> Document:
        """Return one document about all runs: each run's figures, the interval, everybody's requests."""
        return replace(
            self._tester.document(summary),
            run_id=self.run_id,
            started_at=iso_time(self._started_at),
            generator=self._generator,
            timeline=self.book.timeline(),
            distribution=distribution_of(self.book.total().response),
            histograms=histograms_of(self.book),
            server=self._server,
            repeats=self.repeats(),
        )

    def repeats(self) -> Repeats:
        """Return the runs so far with the interval of their p95."""
        asked = self.repetition.interval_ratio
        times = [row.p95_seconds for row in self._rows if not row.left_out and row.p95_seconds is not None]
        interval = interval_of(times)
        if interval is None:
            return Repeats(self._rows, asked_ratio=asked)
        return Repeats(
            runs=self._rows,
            center_seconds=interval.center,
            low_seconds=interval.low,
            high_seconds=interval.high,
            half_width_ratio=interval.half_width_ratio,
            asked_ratio=asked,
            spread_ratio=interval.spread,
            runs_needed=None if asked is None else runs_needed(interval.spread, asked),
        )

    @property
    def _is_under_way(self) -> bool:
        return bool(self._began) and self._tester.run_id not in {row.run_id for row in self._rows}

    def _open_book(self, labels: Labels) -> Book:
        return TeeBook(labels, self.book, lambda: time.monotonic() - self._began)

    def _follow(self, tester: LoadTester) -> None:
        self._tester = tester
        if self._stopped:
            tester.stop(self._stopped, 0.0)
        tester.listeners.append(lambda _: self._second())

    def _second(self) -> None:
        for listener in self.listeners:
            listener(time.monotonic() - self._began)

    def _enter(self, document: Document) -> None:
        summary = document.summary
        self.documents.append(document)
        self._run_seconds += summary.duration_seconds
        self._generator = busier(self._generator, document.generator)
        self._unanswered.append(self._tester.only_queries_failed)
        self._rows.append(RepeatRow.of(document.run_id, document.started_at, summary, self._why_left_out(summary)))
        self._announce()

    def _why_left_out(self, summary: Summary) -> str:
        if self._stopped:
            return self._stopped
        if summary.verdict is Verdict.INVALID:
            return summary.reasons[0] if summary.reasons else "invalid"
        return "" if summary.total.response.quantiles_seconds["p95"] else "nothing was answered"

    def _announce(self) -> None:
        number, row = len(self._rows), self._rows[-1]
        found = self.repeats()
        so_far = f"; {found.sentence()}" if found.center_seconds is not None else ""
        line = f"{self.config.name}: run {number} of at most {self.repetition.most}: {row.verdict}{so_far}"
        for listener in self.line_listeners:
            listener(line)

    def _is_enough(self) -> bool:
        if self._stopped:
            return True
        if len(self._rows) < self.repetition.least:
            return self._is_late()
        asked = self.repetition.interval_ratio
        return asked is None or self.repeats().is_narrow_enough or self._is_late()

    def _is_late(self) -> bool:
        within = self.repetition.within_seconds
        if within is None:
            return False
        return time.monotonic() - self._began + self._run_seconds / len(self._rows) > within

    def _conclude(self) -> Summary:
        """Judge the runs together: each of them must pass, and the interval must be as narrow as was asked for."""
        repeats = self.repeats()
        counted = [
            document.summary for document, row in zip(self.documents, self._rows, strict=True) if not row.left_out
        ]
        failed = [
            f"run {number}: {reason}"
            for number, row in enumerate(self._rows, 1)
            if row.verdict is Verdict.FAILED
            for reason in self.documents[number - 1].summary.reasons
        ]
        notes = [
            f"run {number} is left out: {row.left_out}" for number, row in enumerate(self._rows, 1) if row.left_out
        ]
        if failed:
            verdict, reasons = Verdict.FAILED, failed
        elif len(counted) < MIN_RUNS or not repeats.is_narrow_enough:
            verdict, reasons = Verdict.INVALID, [repeats.sentence()]
        else:
            verdict, reasons = Verdict.PASSED, []
        if verdict is not Verdict.INVALID:
            notes.insert(0, repeats.sentence())
        self.needs_more_runs = verdict is Verdict.INVALID and len(counted) >= MIN_RUNS
        self.only_queries_failed = verdict is Verdict.INVALID and not counted and all(self._unanswered)
        shared = self.documents[0].summary.notes if self.documents else []
        return replace(
            self.summary(), verdict=verdict, reasons=reasons, gates=worst_gates(counted), notes=[*shared, *notes]
        )


def worst_gates(summaries: list[Summary]) -> list[GateResult]:
    """Return each gate as of the run in which it did worst: failed, else without data, else nearest to its bound."""
    worst: dict[str, GateResult] = {}
    for summary in summaries:
        for gate in summary.gates:
            known = worst.get(gate.text)
            if known is None or _badness(gate) > _badness(known):
                worst[gate.text] = gate
    return list(worst.values())


def _badness(gate: GateResult) -> tuple[int, float]:
    """Return what is larger the worse a gate did: its result, and its value on the side of the bound."""
    result = {True: 0, None: 1, False: 2}[gate.passed]
    signs = _SIGN.findall(gate.text)
    value = gate.value or 0.0
    return result, value if signs and signs[-1] == "<" else -value if signs else 0.0
