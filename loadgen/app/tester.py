"""One load test, as the user runs it from Python."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from loadgen.app.build import build_run
from loadgen.config import LoadTestConfig
from loadgen.reporters.exposition import LiveRun
from loadgen.runner.run import Run
from loadgen.summary import EndpointSummary, Summary


@dataclass(slots=True)
class LoadTester:
    """Runs one load test: `summary = await LoadTester(config).run_load_test()`."""

    config: LoadTestConfig
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    profile: str = "closed"
    run: Run = field(init=False)

    def __post_init__(self) -> None:
        self.run = build_run(self.config)

    async def run_load_test(self) -> Summary:
        """Run to the end and return what was measured."""
        await self.run.go()
        return self.summary()

    def summary(self) -> Summary:
        """Return the numbers as they stand."""
        book = self.run.book
        return Summary(
            name=self.config.name,
            duration_seconds=self.run.elapsed_seconds,
            total=EndpointSummary.of("all", book.total()),
            endpoints=[EndpointSummary.of(*pair) for pair in book.rows()],
            end_reason=self.run.end_reason,
        )

    def live(self) -> LiveRun:
        """Return the run as the metrics page shows it."""
        return LiveRun(self.config.name, self.run_id, self.profile, self.run.book)
