"""Find the highest rate that a service sustains, by running one load test after the other."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_loadgen.app.hold import default_thresholds
from perfloop_loadgen.app.interrupting import until_interrupted
from perfloop_loadgen.app.server_watch import watch_server
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.app.workplace import HERE, Workplace
from perfloop_loadgen.breakpoint_search import Search, Stage, is_oversaturated, knee_of
from perfloop_loadgen.capacity import CapacityInterval, Tried, estimate_capacity
from perfloop_loadgen.config.load import BreakpointConfig, ConstantRateConfig
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.reporters.exposition import LiveRun
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tee import TeeBook
from perfloop_loadgen.summary import Summary, summarize
from perfloop_loadgen.summary.document import Document, TrialRow, distribution_of, iso_time
from perfloop_loadgen.summary.measured import config_hash, histograms_of
from perfloop_loadgen.summary.verdict import Generator, Verdict, busier
from perfloop_loadgen.thresholds.expression import longest_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary.server import Server


class BreakpointTester:
    """Doubles, bisects and confirms: a search made of load tests."""

    profile = "breakpoint"
    # How long a search takes is not known before its end, but it always ends.
    planned_seconds: float | None = None
    is_endless = False

    def __init__(self, config: LoadTestConfig, workplace: Workplace = HERE) -> None:
        if not isinstance(config.load, BreakpointConfig):
            raise TypeError(f"a breakpoint search needs the shape breakpoint, not {config.load!r}")
        self.config = config
        self._workplace = workplace
        # Each trial is held to the same.
        gates, note = (config.thresholds, "") if config.thresholds else default_thresholds(config)
        self._notes = [note] if note else []
        self._limit_seconds = longest_response([gate if isinstance(gate, str) else gate.expect for gate in gates])
        self.load = config.load
        self.listeners: list[Callable[[float], None]] = []
        self.book = Book(Labels())
        self.trials: list[TrialRow] = []
        self.trial_listeners: list[Callable[[TrialRow], None]] = []
        self.only_queries_failed = False
        self._generator = Generator()
        self.search = Search(
            rate=self.load.start_rate, max_rate=self.load.max_rate, precision_ratio=self.load.precision_ratio
        )
        self._began = self._started_at = 0.0
        self._stopped = ""
        self._hurry = asyncio.Event()
        self._server: Server | None = None
        self._run_id = uuid.uuid4().hex[:12]
        self._tester = self._trial_tester()

    @property
    def run_id(self) -> str:
        """Return the name of the search in metrics and reports."""
        return self._run_id

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the search; the trials so far are kept."""
        self._stopped = reason
        self._hurry.set()
        self._tester.stop(reason, grace_seconds)

    async def run_load_test(self) -> Summary:
        """Search, and return the summary of all requests, with the confirmed rate as its result.

        Ctrl-C and a cancellation end the search, not this.
        """
        return await until_interrupted(self._search(), self.stop)

    async def _search(self) -> Summary:
        """Try one rate after the other.

        What a rate beyond the limit left under way is waited for: the next trial must begin with an idle service.
        """
        self._began, self._started_at = time.monotonic(), time.time()
        faults: list[str] = []
        while self.search.stage is not Stage.DONE and not self._stopped and not faults:
            self._tester = self._trial_tester()
            self._tester.listeners.extend(self.listeners)
            summary = await self._tester.measure()
            if not self._stopped:
                faults = self._record(summary)
        concluded = self._conclude(faults)
        span = (self._started_at, self._started_at + concluded.duration_seconds)
        self._server = await watch_server(self.config, span, concluded, self._hurry)
        return concluded

    def summary(self) -> Summary:
        """Return the numbers so far, not judged."""
        summary = summarize(self.config.name, self.book, self._elapsed(), self._stopped)
        return replace(summary, notes=[*self._notes])

    def live(self) -> LiveRun:
        """Return the search as the metrics page shows it."""
        return LiveRun(self.config.name, self.run_id, self.profile, self.book)

    def document(self, summary: Summary) -> Document:
        """Return the search as a document: the last trial's machine, all trials' requests."""
        config = without_secrets(self.config.model_dump(mode="json", exclude_defaults=True))
        return replace(
            self._tester.document(summary),
            run_id=self.run_id,
            profile=self.profile,
            started_at=iso_time(self._started_at),
            generator=self._generator,
            timeline=self.book.timeline(),
            distribution=distribution_of(self.book.total().response),
            config=config,
            config_hash=config_hash(config),
            histograms=histograms_of(self.book),
            trials=self.trials,
            confirmed_rate=self.search.confirmed,
            knee_rate=self.knee,
            # What a generator at its own limit measured, or no rate confirmed, says nothing of the service.
            capacity=self.capacity if summary.verdict is Verdict.PASSED else None,
            server=self._server,
        )

    @property
    def knee(self) -> float | None:
        """Return the highest rate tried whose good answers kept up."""
        return knee_of([(trial.rate, trial.goodput_rate) for trial in self.trials])

    @property
    def capacity(self) -> CapacityInterval | None:
        """Return the highest rate that keeps the thresholds, as the trials so far show it."""
        tried = [Tried(trial.rate, trial.seconds, trial.passed) for trial in self.trials]
        # So long a request may wait before its response takes longer than allowed.
        alone = min((trial.p95_seconds for trial in self.trials if trial.p95_seconds is not None), default=0.0)
        return estimate_capacity(tried, max(self._limit_seconds - alone, 0.0))

    def _trial_tester(self) -> LoadTester:
        is_long = self.search.stage in {Stage.CONFIRM, Stage.REFUTE}
        load = ConstantRateConfig(shape="constant_rate", rate=self.search.rate, max_in_flight=self.load.max_in_flight)
        seconds = self.load.confirm_seconds if is_long else self.load.step_seconds
        config = self.config.of_round(len(self.trials)).model_copy(update={"load": load, "duration_seconds": seconds})
        return LoadTester(
            config,
            open_book=lambda labels: TeeBook(labels, self.book, self._elapsed),
            with_server=False,
            workplace=self._workplace,
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._began if self._began else 0.0

    def _record(self, summary: Summary) -> list[str]:
        """Add the trial to the search, and return what ends it: a generator at its own limit measures only itself."""
        self._generator = busier(self._generator, self._tester.generator())
        trial = self._trial_row(summary)
        self.trials.append(trial)
        for listener in self.trial_listeners:
            listener(trial)
        faults = self._tester.generator_faults
        if self._tester.only_queries_failed:
            self.only_queries_failed = True
            return [f"at {trial.rate:.4g} requests/s {reason}" for reason in summary.reasons]
        if faults:
            return [f"at {trial.rate:.4g} requests/s the generator was the limit: {fault}" for fault in faults]
        if not (summary.successful_requests or self.search.good):
            self._stopped = f"at {trial.rate:.4g} requests/s {trial.reason}"
        self.search = self.search.after(passed=trial.passed, reason=trial.reason)
        return []

    def _trial_row(self, summary: Summary) -> TrialRow:
        seconds = self._tester.config.duration_seconds
        # What comes in after the step belongs to its requests, but not to the rate that the service kept up.
        points = [one for one in self._tester.book.points if one.elapsed_seconds - one.span_seconds < seconds]
        span = sum(point.span_seconds for point in points) or 1.0
        errors = sum(point.errors for point in points)
        answered = sum(point.requests for point in points)
        # A schedule that cannot be sent makes a test invalid, but here it is what the search looks for.
        reasons = [reason for reason in summary.reasons if reason not in self._tester.schedule_faults]
        if self._tester.schedule_faults:
            reasons.append(f"{self.load.max_in_flight} requests were under way unanswered, more had to wait")
        if is_oversaturated([(point.elapsed_seconds, float(point.load.users)) for point in points]):
            reasons.append("requests under way grew throughout the step")
        return TrialRow(
            rate=self.search.rate,
            stage=self.search.stage,
            passed=not reasons,
            reason="; ".join(reasons),
            achieved_rate=answered / span,
            p95_seconds=summary.total.response.quantiles_seconds["p95"],
            goodput_rate=(answered - errors) / span,
            seconds=seconds,
        )

    def _conclude(self, faults: list[str]) -> Summary:
        rate, knee = self.search.confirmed, self.knee
        if faults:
            verdict, reasons = Verdict.INVALID, faults
        elif rate is None:
            verdict, reasons = Verdict.FAILED, [self._stopped or "no rate was confirmed"]
        else:
            verdict, reasons = Verdict.PASSED, [f"the highest rate confirmed to keep the thresholds: {rate:.4g}/s"]
        if rate is not None and (found := self.capacity) is not None:
            reasons.append(found.sentence)
        if knee is not None:
            reasons.append(f"the knee, up to which good answers kept up with the requested rate: {knee:.4g}/s")
        return replace(self.summary(), verdict=verdict, reasons=reasons)
