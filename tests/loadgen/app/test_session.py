"""What surrounds a run: the exit codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perfloop_base.addresses import Address
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen.app.session import Session
from perfloop_loadgen.app.suite import build_testers
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.summary import Summary, summarize
from perfloop_loadgen.summary.verdict import Verdict


class Ended:
    """A tester that has ended."""

    def __init__(self, *, is_endless: bool = False, only_queries_failed: bool = False) -> None:
        self.is_endless = is_endless
        self.only_queries_failed = only_queries_failed


def _summary(verdict: Verdict) -> Summary:
    return replace(summarize("t", Book(Labels()), 1), verdict=verdict)


@pytest.mark.parametrize(
    ("tester", "verdict", "stopped", "code"),
    [
        (Ended(), Verdict.PASSED, "", ExitCode.OK),
        (Ended(), Verdict.FAILED, "", ExitCode.FAILED),
        (Ended(), Verdict.INVALID, "", ExitCode.INVALID),
        (Ended(only_queries_failed=True), Verdict.INVALID, "", ExitCode.SOURCE_UNAVAILABLE),
        (Ended(), Verdict.PASSED, "stopped by SIGINT", ExitCode.STOPPED),
        (Ended(is_endless=True), Verdict.FAILED, "stopped by SIGTERM", ExitCode.OK),
    ],
)
def test_each_end_has_its_code(tester: Any, verdict: Verdict, stopped: str, code: ExitCode):
    """The verdict, unless the run was stopped; to be stopped is the only end of an endless run."""
    ended = Session([], Address("127.0.0.1", 0), {})
    ended._stopped = stopped
    assert ended._code_of(tester, _summary(verdict)) is code


def test_the_problems_of_all_tests_are_reported_together():
    """Before the first one runs, each with the name of its test."""
    configs = [LoadTestConfig(name=name, thresholds=["p95 < 1 parsec"]) for name in ("one", "two")]
    with pytest.raises(ConfigError) as caught:
        build_testers(configs)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["one", "two"]
