"""Several load tests, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.app.breakpoint import build_tester
from perfloop_loadgen.reporters.text import summary_lines

if TYPE_CHECKING:
    from perfloop_loadgen.config import LoadTestConfig
    from perfloop_loadgen.summary import Summary


class LoadTestSuite:
    """`add_test` as often as needed, then `results = await suite.run_suite()`."""

    def __init__(self) -> None:
        self.tests: list[LoadTestConfig] = []
        self.results: list[Summary] = []

    def add_test(self, config: LoadTestConfig) -> None:
        """Put a test at the end of the suite."""
        self.tests.append(config)

    async def run_suite(self) -> list[Summary]:
        """Run every test in turn and return their summaries in order."""
        self.results = []
        for config in self.tests:
            self.results.append(await build_tester(config).run_load_test())
        return self.results

    def generate_suite_report(self) -> str:
        """Return what was measured, as text."""
        return "\n\n".join("\n".join(summary_lines(summary)) for summary in self.results)
