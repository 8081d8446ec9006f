"""One load test, as the user runs it from Python."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.build import Part, build_rate_shape, build_run, check_filling, fresh_seed
from perfloop_loadgen.app.calibration import read_calibration
from perfloop_loadgen.app.fleet import Fleet
from perfloop_loadgen.app.gates import Gates
from perfloop_loadgen.app.interrupting import GRACE_SECONDS, until_interrupted
from perfloop_loadgen.app.prompt_notes import generates_prompts, prompt_notes
from perfloop_loadgen.app.server_watch import watch_server
from perfloop_loadgen.app.sharing import NOT_JUDGED, share_of
from perfloop_loadgen.app.workplace import HERE, Workplace
from perfloop_loadgen.config.load import EnduranceConfig
from perfloop_loadgen.config.secrets import register_secrets, without_secrets
from perfloop_loadgen.reporters.exposition import LiveRun
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.summary import Summary, summarize
from perfloop_loadgen.summary.document import GENERATOR_VERSION, Document, distribution_of, iso_time
from perfloop_loadgen.summary.drift import MIN_POINTS, drift_of
from perfloop_loadgen.summary.measured import config_hash, histograms_of
from perfloop_loadgen.summary.verdict import Verdict
from perfloop_loadgen.thresholds.coverage import cover
from perfloop_loadgen.thresholds.decide import decide, generator_faults, schedule_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.samples.labels import Labels
    from perfloop_loadgen.summary.document import TrialRow
    from perfloop_loadgen.summary.server import Server
    from perfloop_loadgen.summary.verdict import GateResult, Generator
    from perfloop_loadgen.summary.workers import WorkerFigures


class Execution(Protocol):
    """A load under way: in this process, or shared by several."""

    book: Book
    end_reason: str
    # Why the numbers say nothing about the service, one sentence each.
    faults: list[str]
    # What a reader must know of how the load was sent, one sentence each.
    notes: list[str]
    # Arrivals of workers that were lost, of which nobody knows whether they were sent.
    unknown: int
    # Called with the elapsed seconds whenever a second has been added to the book.
    listeners: list[Callable[[float], None]]

    @property
    def planned_seconds(self) -> float | None:
        """Return how long the run is meant to last; None: until it is stopped."""

    @property
    def elapsed_seconds(self) -> float:
        """Return the time since the first request could start."""

    @property
    def began_unix(self) -> float:
        """Return the wall time of the beginning."""

    def generator(self) -> Generator:
        """Return the figures of the generator itself."""

    def workers(self) -> list[WorkerFigures]:
        """Return the figures of each of several workers; none of a single process."""

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run early."""

    async def go(self) -> None:
        """Run to the end."""


@dataclass(slots=True)
class LoadTester:
    """Runs one load test: `summary = await LoadTester(config).run_load_test()`."""

    config: LoadTestConfig
    open_book: Callable[[Labels], Book] = Book
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    # Whether to read the service's own series at the end, which waits for Prometheus's next scrape.
    with_server: bool = True
    # Where the load is sent from, and how much of it.
    workplace: Workplace = HERE
    run: Execution = field(init=False)
    started_at: float = field(init=False, default=0.0)
    generator_faults: list[str] = field(init=False, default_factory=list)
    schedule_faults: list[str] = field(init=False, default_factory=list)
    # Whether the run has no result for one reason alone: Prometheus gave no usable answer.
    only_queries_failed: bool = field(init=False, default=False)
    # A single test has no trials: what is put here is never called.
    trial_listeners: list[Callable[[TrialRow], None]] = field(init=False, default_factory=list)
    _gates: Gates = field(init=False)
    # Set once the run is stopped from outside.
    _hurry: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _notes: list[str] = field(init=False)
    _server: Server | None = field(init=False, default=None)
    # What generated prompts follow from: the test's own seed, or one that this run alone has.
    seed: int = field(init=False)
    # Why the run ended itself: the gate that was crossed.
    _aborted: str = field(init=False, default="")

    def __post_init__(self) -> None:
        # First: what is built from here on may write a message.
        register_secrets(self.config.model_dump(mode="json"))
        self.config, self._notes = self.config.fitted()
        self.seed = fresh_seed() if self.config.seed is None else self.config.seed
        self._gates = Gates.of(self.config)
        if self.workplace.is_share:
            # Of a share alone a rate or a count says nothing: the shares are judged together.
            self._gates = replace(self._gates, client=(), server=(), held="")
            self._notes.append(NOT_JUDGED)
        self.run = self._build()
        if self._gates.aborting:
            self.run.listeners.append(self._abort_if_crossed)

    def _build(self) -> Execution:
        # Not kept in the configuration: two runs with seeds of their own have the same one.
        config = self.config.model_copy(update={"seed": self.seed})
        if self.workplace.crew is not None:
            build_run(config)  # for what is wrong with the test: no worker is asked before that is known
            return Fleet(config, self.open_book, self.workplace)
        if config.workers > 1:
            check_filling(config)  # here, in one sentence: each worker would say it again
            return Fleet(config, self.open_book, self.workplace)
        return build_run(config, Part(self.workplace.share, start_unix=self.workplace.start_unix), self.open_book)

    @property
    def book(self) -> Book:
        """Return the measurements so far."""
        return self.run.book

    @property
    def listeners(self) -> list[Callable[[float], None]]:
        """Return what is called with the elapsed seconds whenever a second has been added to the book."""
        return self.run.listeners

    @property
    def planned_seconds(self) -> float | None:
        """Return how long the run is meant to last; None: until it is stopped."""
        return self.run.planned_seconds

    @property
    def is_endless(self) -> bool:
        """Return whether the run ends only when it is stopped."""
        return self.run.planned_seconds is None

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run early; what was measured is kept."""
        self._hurry.set()
        self.run.stop(reason, grace_seconds)

    @property
    def profile(self) -> str:
        """Return the name of the load shape."""
        return self.config.load.shape if self.config.load is not None else "constant_users"

    async def run_load_test(self) -> Summary:
        """Run to the end, judge, and return what was measured; Ctrl-C and a cancellation end the run, not this.

        Raises:
            TargetError: the host of `base_url` does not resolve.
        """
        return await until_interrupted(self.measure(), self.stop)

    async def measure(self) -> Summary:
        """Do the same for callers that run several tests: a cancellation cuts it off and is raised.

        Raises:
            TargetError: the host of `base_url` does not resolve.
        """
        await self.run.go()
        self.started_at = self.run.began_unix
        ended_at = self.started_at + self.run.elapsed_seconds
        span = (self.started_at, ended_at)
        gates, unanswered = await self._gates.judge(self.run.book, span, self._hurry)
        summary = self._conclude(gates, unanswered)
        # A Prometheus that did not answer the gates is not waited for again: a signal has 5 s for everything.
        if self.with_server and not unanswered:
            self._server = await watch_server(self.config, span, summary, self._hurry)
        return summary

    def summary(self) -> Summary:
        """Return the numbers so far, not judged."""
        summary = summarize(self.config.name, self.run.book, self.run.elapsed_seconds, self.run.end_reason)
        prompts = prompt_notes(self.config, self.seed, self.run.book)
        return replace(summary, notes=[*self._notes, *prompts, *summary.notes])

    def generator(self) -> Generator:
        """Return the figures of the generator itself."""
        return self.run.generator()

    def live(self) -> LiveRun:
        """Return the run as the metrics page shows it."""
        return LiveRun(self.config.name, self.run_id, self.profile, self.run.book, workers=self.run.workers)

    def document(self, summary: Summary) -> Document:
        """Return everything that is known about the run, for reports."""
        book = self.run.book
        config = without_secrets(self.config.model_dump(mode="json", exclude_defaults=True))
        share = share_of(self.config, self.workplace, book) if self.workplace.is_share else None
        return Document(
            run_id=self.run_id,
            profile=self.profile,
            base_url=redact_url(self.config.base_url),
            started_at=iso_time(self.started_at),
            summary=summary if share is None else replace(summary, name=self.workplace.title(summary.name)),
            share=share,
            generator=self.generator(),
            workers=self.run.workers(),
            timeline=book.timeline(),
            distribution=distribution_of(book.total().response),
            config=config,
            config_hash=config_hash(config),
            histograms=histograms_of(book),
            calibration=read_calibration(),
            generator_version=GENERATOR_VERSION,
            seed=self.seed if generates_prompts(self.config) else None,
            server=self._server,
        )

    def _conclude(self, gates: list[GateResult], unanswered: Mapping[str, str]) -> Summary:
        tally = self.run.book.total()
        limits = self.config.generator_limits
        self.generator_faults = generator_faults(limits, self.generator(), tally, self.run.workers())
        if build_rate_shape(self.config) is not None:
            self.schedule_faults = schedule_faults(limits, tally, self.run.unknown)
        faults = [*self.run.faults, *self.generator_faults, *self.schedule_faults]
        coverage = cover(self.config.scenarios, self.run.book)
        failures = [*self._failures(), *coverage.failures]
        verdict, reasons = decide(tally, gates, [*faults, *dict.fromkeys(unanswered.values())], failures)
        answered = [gate for gate in gates if gate.text not in unanswered]
        self.only_queries_failed = bool(unanswered) and decide(tally, answered, faults)[0] is not Verdict.INVALID
        self._notes += [*([self._gates.held] if self._gates.held else []), *coverage.notes, *self.run.notes]
        return replace(self.summary(), verdict=verdict, reasons=reasons, gates=gates)

    def _abort_if_crossed(self, elapsed_seconds: float) -> None:
        """End the run at a gate that is crossed; called once a second, with everything measured so far."""
        crossed = self._gates.crossed(self.run.book, elapsed_seconds)
        if crossed and not self._aborted:
            self._aborted = crossed
            self.run.stop(crossed, GRACE_SECONDS)

    def _failures(self) -> list[str]:
        failures = [self.run.end_reason] if self.run.end_reason.startswith("max_errors") else []
        if self._aborted:
            failures.append(self._aborted)
        if isinstance(self.config.load, EnduranceConfig):
            limit = self.config.load.max_drift_ratio
            drift = drift_of(self.run.book.timeline())
            if drift is None:
                self._notes.append(f"whether the p95 rose was not judged: it takes {MIN_POINTS} seconds with answers")
            elif drift > limit:
                failures.append(f"the p95 rose by {drift:.0%} over the run (limit {limit:.0%})")
        return failures
