"""The stored runs, which are kept longer than their series: what changed over them, and the facts of each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.links import of_cell
from perfloop_boards.load.results import PASSED
from perfloop_boards.load.runs import TEST, TO_SERVICE, to_report
from perfloop_boards.panels import About
from perfloop_boards.queries import Query, equal, selector
from perfloop_boards.tables import Column, rows

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

RESULTS = {
    "passed": ("passed", colours.GOOD),
    "failed": ("failed", colours.BAD),
    "invalid": ("invalid", colours.WARNING),
    "stopped": ("stopped", colours.WARNING),
    "killed": ("killed", colours.WARNING),
}
_NOTHING = "No run is stored where the stack keeps its files: `perfloop loadgen run FILE` stores each."
_LABELS = "run, result, version, change"
# Each run once, also while two load generators that publish it have read the file at different times.
_INFO = f"topk by (run_id) (1, max by (run_id, {_LABELS}) (loadgen_stored_run_info{selector(TEST)}))"


def runs(limits: Limits) -> AnyPanel:
    """Return the newest stored runs of the chosen tests, whatever the time range, and what changed with which."""
    return rows(
        About(
            "Load-test history",
            "The newest 20 stored runs of each test, whatever the time range. Change: a figure that is at another "
            "level since this run. Good: passed, and no change for the worse. All: `perfloop loadgen history`.",
            "none",
            _NOTHING,
        ),
        [
            Query(_of_run("loadgen_stored_run_response_seconds", equal("quantile", "0.95")), instant=True),
            Query(_of_run("loadgen_stored_run_rate"), instant=True),
            Query(_of_run("loadgen_stored_run_failed_ratio"), instant=True),
        ],
        [
            Column("run", "Run", width=240, links=(to_report(of_cell("Run")),)),
            Column("result", "Result", words=RESULTS, width=80),
            Column("version", "Version", width=90),
            Column("Value #A", "p95", unit="s", limit=limits.signal("api_response_time_p95"), width=84),
            Column("Value #B", "Completed", unit="reqps", width=100),
            Column("Value #C", "Failed", unit="percentunit", limit=limits.signal("error_ratio"), width=76),
            Column("change", "Change"),
        ],
        sort="Run",
    )


def tests() -> AnyPanel:
    """Return each test with its facts: whether its newest run passed, and how many baselines it has."""
    passed = f"max by (test) (loadgen_test_passed{selector(TEST)})"
    named = f"max by (test, baseline) (loadgen_baseline_runs{selector(TEST)})"
    return rows(
        About(
            "Tests",
            "Whether the newest stored run of a test passed, and how many baselines its runs are compared with. Good: "
            "passed, with a baseline: `perfloop loadgen run FILE --save-baseline NAME`.",
            "none",
            _NOTHING,
        ),
        [Query(passed, instant=True), Query(f"count by (test) ({named}) or {passed} * 0", instant=True)],
        [
            Column("test", "Test", links=(TO_SERVICE,)),
            Column("Value #A", "Newest run", unit="none", words=PASSED, width=100),
            Column("Value #B", "Baselines", unit="none", width=80),
        ],
        sort="Newest run",
        rising=True,
    )


def _of_run(metric: str, *matchers: str) -> str:
    figure = f"max by (run_id) ({metric}{selector(TEST, *matchers)})"
    return f"{figure} * on (run_id) group_left ({_LABELS}) {_INFO}"
