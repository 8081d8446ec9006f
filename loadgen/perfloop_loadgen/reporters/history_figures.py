"""The newest stored runs for Prometheus, and the facts of each test: whether its newest run passed, its baselines.

Runs end with their process. What the stack's own load generator publishes here is read from the file of facts, which
every command rewrites that stores a run or sets a baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.store.changes import short
from perfloop_loadgen.store.facts import HistoryFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.store.facts import History
    from perfloop_loadgen.store.stored import StoredRun

_RUN = ("test", "run_id")
_LONGEST_TEXT = 200


class HistoryCollector:
    """A prometheus_client collector over the file of facts."""

    def __init__(self, file: HistoryFile | None = None) -> None:
        self._file = file or HistoryFile()

    def collect(self) -> Iterator[Metric]:
        """Yield every family; without a file they are empty."""
        history = self._file.read()
        yield from _runs(history)
        yield _times(history.runs)
        yield from _facts(history)


def _runs(history: History) -> Iterator[Metric]:
    info = _gauge(
        "loadgen_stored_run_info",
        "A stored run; `result` is its verdict, or how it ended before, and `change` what is at another level since.",
        *("run", "result", "version", "revision", "change"),
    )
    started = _gauge("loadgen_stored_run_start_timestamp_seconds", "Unix time at which a stored run began.")
    rate = _gauge("loadgen_stored_run_rate", "Requests per second over a whole stored run.")
    failed = _gauge("loadgen_stored_run_failed_ratio", "Share of the requests of a stored run that failed.")
    for run in history.runs:
        key = (run.test, run.run_id)
        words = (f"{run.day} {run.test}", run.how, run.labels.get("version", ""), short(run.revision))
        info.add_metric((*key, *map(_fit, (*words, history.changes.get(run.run_id, "")))), 1)
        started.add_metric(key, run.started_unix)
        rate.add_metric(key, run.rate)
        failed.add_metric(key, run.failed_ratio)
    return iter((info, started, rate, failed))


def _times(runs: Sequence[StoredRun]) -> Metric:
    family = Metric("loadgen_stored_run_response_seconds", "Response time of a whole stored run.", "summary")
    for run in runs:
        for quantile, value in (("0.5", run.p50_seconds), ("0.95", run.p95_seconds), ("0.99", run.p99_seconds)):
            if value is not None:
                family.add_sample(family.name, {"test": run.test, "run_id": run.run_id, "quantile": quantile}, value)
    return family


def _facts(history: History) -> Iterator[Metric]:
    passed = GaugeMetricFamily(
        "loadgen_test_passed", "Whether the newest stored run of a test passed (1) or not (0).", labels=("test",)
    )
    count = GaugeMetricFamily(
        "loadgen_baseline_runs", "How many runs a baseline of a test has.", labels=("test", "baseline")
    )
    since = GaugeMetricFamily(
        "loadgen_baseline_set_timestamp_seconds", "When a baseline of a test was set.", labels=("test", "baseline")
    )
    for test, run in history.newest().items():
        passed.add_metric((test,), float(run.passed))
    for baseline in history.baselines:
        count.add_metric((baseline.test, baseline.name), len(baseline.run_ids))
        since.add_metric((baseline.test, baseline.name), baseline.set_unix)
    return iter((passed, count, since))


def _fit(text: str) -> str:
    text = shown(text)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(*_RUN, *labels))
