"""What runs each configuration, and several of them one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.breakpoint import BreakpointTester
from perfloop_loadgen.app.interrupting import until_interrupted
from perfloop_loadgen.app.repeat import RepeatTester
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.app.workplace import HERE, Workplace
from perfloop_loadgen.config.load import BreakpointConfig
from perfloop_loadgen.reporters.text import summary_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.app.repeat import Repetition
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.reporters.exposition import LiveRun
    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.summary import Summary
    from perfloop_loadgen.summary.document import Document, TrialRow


class Tester(Protocol):
    """What runs a configuration: one load test, or a search made of many."""

    config: LoadTestConfig
    only_queries_failed: bool
    # Called with each rate that a search has tried.
    trial_listeners: list[Callable[[TrialRow], None]]

    @property
    def run_id(self) -> str:
        """Return the name of the run in metrics and reports."""

    @property
    def profile(self) -> str:
        """Return the name of the load shape."""

    @property
    def book(self) -> Book:
        """Return the measurements so far."""

    @property
    def listeners(self) -> list[Callable[[float], None]]:
        """Return what is called with the elapsed seconds whenever a second has been added to the book."""

    @property
    def planned_seconds(self) -> float | None:
        """Return how long the run is meant to last; None: that is not known."""

    @property
    def is_endless(self) -> bool:
        """Return whether the run ends only when it is stopped."""

    async def run_load_test(self) -> Summary:
        """Run to the end, judge, and return what was measured."""

    def stop(self, reason: str, grace_seconds: float | None = None) -> None:
        """End the run early; what was measured is kept."""

    def summary(self) -> Summary:
        """Return the numbers so far, not judged."""

    def live(self) -> LiveRun:
        """Return the run as the metrics page shows it."""

    def document(self, summary: Summary) -> Document:
        """Return everything that is known about the run, for reports."""


def build_tester(config: LoadTestConfig, repetition: Repetition | None = None, workplace: Workplace = HERE) -> Tester:
    """Return what runs a configuration, once or as often as a repetition asks, from where the workplace says.

    Raises:
        ConfigError: a gate, a file or a scenario of the configuration cannot be used.
    """
    if repetition is not None:
        return RepeatTester(config, repetition, workplace)
    if isinstance(config.load, BreakpointConfig):
        return BreakpointTester(config, workplace)
    return LoadTester(config, workplace=workplace)


def build_testers(
    configs: Sequence[LoadTestConfig], repetition: Repetition | None = None, workplace: Workplace = HERE
) -> list[Tester]:
    """Return what runs each test.

    Raises:
        ConfigError: with what is wrong with any of them, before the first one runs.
    """
    testers: list[Tester] = []
    problems: list[str] = []
    for config in configs:
        try:
            testers.append(build_tester(config, repetition, workplace))
        except ConfigError as error:
            problems += (f"{config.name}: {problem}" for problem in error.problems)
    if problems:
        raise ConfigError(problems)
    return testers


class LoadTestSuite:
    """`add_test` as often as needed, then `results = await suite.run_suite()`."""

    def __init__(self) -> None:
        self.tests: list[LoadTestConfig] = []
        self.results: list[Summary] = []
        self._current: Tester | None = None
        self._stopped = False

    def add_test(self, config: LoadTestConfig) -> None:
        """Add a test at the end of the suite."""
        self.tests.append(config)

    async def run_suite(self) -> list[Summary]:
        """Run every test in turn and return their summaries in order.

        Ctrl-C and a cancellation end the test under way, and no further one begins.
        """
        self.results = []
        self._stopped = False
        return await until_interrupted(self._run_all(), self._stop)

    async def _run_all(self) -> list[Summary]:
        for config in self.tests:
            if self._stopped:
                break
            self._current = build_tester(config)
            self.results.append(await self._current.run_load_test())
        return self.results

    def _stop(self, reason: str, grace_seconds: float | None) -> None:
        self._stopped = True
        if self._current is not None:
            self._current.stop(reason, grace_seconds)

    def generate_suite_report(self) -> str:
        """Return what was measured, as text."""
        return "\n\n".join("\n".join(summary_lines(summary)) for summary in self.results)
