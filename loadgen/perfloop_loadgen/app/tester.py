"""One load test, as the user runs it from Python."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from perfloop_loadgen.app.build import build_run
from perfloop_loadgen.app.calibration import read_calibration
from perfloop_loadgen.app.fleet import Fleet
from perfloop_loadgen.app.gates import Gates
from perfloop_loadgen.app.shapes import build_rate_shape
from perfloop_loadgen.config.load import EnduranceConfig
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.reporters.exposition import LiveRun
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.summary import Summary, summarize
from perfloop_loadgen.summary.document import Document, distribution_of, iso_time
from perfloop_loadgen.summary.drift import drift_of
from perfloop_loadgen.thresholds.decide import decide
from perfloop_loadgen.thresholds.validity import generator_faults, schedule_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.runner.run import Run
    from perfloop_loadgen.samples.labels import Labels
    from perfloop_loadgen.summary.verdict import GateResult, Generator


@dataclass(slots=True)
class LoadTester:
    """Runs one load test: `summary = await LoadTester(config).run_load_test()`."""

    config: LoadTestConfig
    open_book: Callable[[Labels], Book] = Book
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    run: Run | Fleet = field(init=False)
    started_at: float = field(init=False, default=0.0)
    generator_faults: list[str] = field(init=False, default_factory=list)
    schedule_faults: list[str] = field(init=False, default_factory=list)
    _gates: Gates = field(init=False)

    def __post_init__(self) -> None:
        self._gates = Gates.of(self.config)
        self.run = self._build()

    def _build(self) -> Run | Fleet:
        if self.config.workers > 1:
            return Fleet(self.config, self.open_book)
        return build_run(self.config, open_book=self.open_book)

    @property
    def book(self) -> Book:
        """Return the measurements as they stand."""
        return self.run.book

    @property
    def listeners(self) -> list[Callable[[float], None]]:
        """Return what is called with the elapsed time whenever a second has been added to the book."""
        return self.run.listeners

    @property
    def is_endless(self) -> bool:
        """Say whether the run ends only when it is stopped."""
        return self.run.planned_seconds is None

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run early; what was measured is kept."""
        self.run.stop(reason, grace_seconds)

    @property
    def profile(self) -> str:
        """Return the name of the load shape."""
        return self.config.load.shape if self.config.load is not None else "constant_users"

    async def run_load_test(self) -> Summary:
        """Run to the end, judge, and return what was measured."""
        await self.run.go()
        self.started_at = self.run.began_unix
        ended_at = self.started_at + self.run.elapsed_seconds
        gates, troubles = await self._gates.judge(self.run.book, self.started_at, ended_at)
        return self._concluded(gates, troubles)

    def summary(self) -> Summary:
        """Return the numbers as they stand, not judged."""
        return summarize(self.config.name, self.run.book, self.run.elapsed_seconds, self.run.end_reason)

    def generator(self) -> Generator:
        """Return how the generator itself fared."""
        return self.run.generator()

    def live(self) -> LiveRun:
        """Return the run as the metrics page shows it."""
        return LiveRun(self.config.name, self.run_id, self.profile, self.run.book)

    def document(self, summary: Summary) -> Document:
        """Return everything that is known about the run, for reports."""
        book = self.run.book
        return Document(
            run_id=self.run_id,
            profile=self.profile,
            base_url=self.config.base_url,
            started_at=iso_time(self.started_at),
            summary=summary,
            generator=self.generator(),
            timeline=book.timeline(),
            distribution=distribution_of(book.total().response),
            config=without_secrets(self.config.model_dump(mode="json", exclude_defaults=True)),
            calibration=read_calibration(),
        )

    def _concluded(self, gates: list[GateResult], troubles: list[str]) -> Summary:
        tally = self.run.book.total()
        self.generator_faults = generator_faults(self.config.generator_limits, self.generator(), tally)
        if build_rate_shape(self.config) is not None:
            self.schedule_faults = schedule_faults(self.config.generator_limits, tally)
        faults = [*self.run.troubles, *self.generator_faults, *troubles, *self.schedule_faults]
        verdict, reasons = decide(tally, gates, faults, self._failures())
        return replace(self.summary(), verdict=verdict, reasons=reasons, gates=gates)

    def _failures(self) -> list[str]:
        failures = [self.run.end_reason] if self.run.end_reason.startswith("max_errors") else []
        if isinstance(self.config.load, EnduranceConfig):
            limit = self.config.load.most_drift_ratio
            drift = drift_of(self.run.book.timeline())
            if drift is not None and drift > limit:
                failures.append(f"the p95 rose by {drift:.0%} over the run (limit {limit:.0%})")
        return failures
