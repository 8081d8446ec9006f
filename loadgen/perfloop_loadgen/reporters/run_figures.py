"""The figures of whole runs for Prometheus: the numbers of the run's own report, while it lasts and when it has ended.

A quantile of a histogram is known to a bucket; these are those of the report, to a thousandth. They do not add up over
runs, and nothing adds them up: each run has its own. A run ends with its process, so the last value is what counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.summary.numbers import QUANTILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfloop_loadgen.reporters.exposition import LiveRun
    from perfloop_loadgen.samples.histogram import Histogram

_RUN = ("test", "run_id")
# A run may have any number of reasons, of any length: so much of them is shown, the report has all.
_MOST_REASONS = 10
_LONGEST_TEXT = 200


def figures_of(runs: Sequence[LiveRun]) -> Iterable[Metric]:
    """Yield the families of every run."""
    yield from _times(runs)
    yield from _numbers(runs)
    yield _capacities(runs)
    yield from _results(runs)


def _times(runs: Sequence[LiveRun]) -> Iterator[Metric]:
    whole = Metric("loadgen_run_response_seconds", "Response time of a whole run, from the intended start.", "summary")
    endpoints = Metric(
        "loadgen_run_endpoint_response_seconds", "Response time of an endpoint over a whole run.", "summary"
    )
    recent = Metric("loadgen_recent_response_seconds", "Response time over the last 10 s.", "summary")
    phases = Metric("loadgen_run_phase_seconds", "Time in a phase of requests over a whole run.", "summary")
    for run in runs:
        labels = {"test": run.test, "run_id": run.run_id}
        response = run.book.total().response
        _add(whole, labels, response)
        _add(recent, labels, run.book.lately().response)
        whole.add_sample(f"{whole.name}_sum", labels, response.total_seconds)
        whole.add_sample(f"{whole.name}_count", labels, response.count)
        for endpoint, tally in run.book.rows():
            _add(endpoints, {**labels, "endpoint": endpoint}, tally.response)
        for phase, histogram in run.book.total().phases_by_name().items():
            _add(phases, {**labels, "phase": phase}, histogram)
    return iter((whole, endpoints, recent, phases))


def _add(family: Metric, labels: dict[str, str], histogram: Histogram) -> None:
    for quantile, value in zip(QUANTILES, histogram.quantiles_seconds(QUANTILES), strict=True):
        if value is not None:
            family.add_sample(family.name, {**labels, "quantile": f"{quantile:g}"}, value)


def _numbers(runs: Sequence[LiveRun]) -> Iterator[Metric]:
    start = _gauge("loadgen_run_start_timestamp_seconds", "Unix time at which a run began.", "run")
    duration = _gauge("loadgen_run_duration_seconds", "Time that a run has lasted so far, or lasted.")
    peak = _gauge("loadgen_run_peak_rate", "Most requests that ended within a second, per second.")
    good = _gauge("loadgen_recent_good_rate", "Good answers per second over the last 10 s.")
    knee = _gauge("loadgen_run_knee_rate", "Highest rate of a breakpoint search whose good answers kept up.")
    confirmed = _gauge("loadgen_run_confirmed_rate", "Highest rate of a breakpoint search confirmed to keep its gates.")
    for run in runs:
        start.add_metric((run.test, run.run_id, run.name), run.started_unix)
        elapsed = run.book.elapsed_seconds if run.summary is None else run.summary.duration_seconds
        duration.add_metric((run.test, run.run_id), elapsed)
        known = (
            (peak, run.book.peak_rate),
            (good, run.book.recent_good_rate()),
            (knee, run.knee_rate),
            (confirmed, run.confirmed_rate),
        )
        for family, value in known:
            if value is not None:
                family.add_metric((run.test, run.run_id), value)
    return iter((start, duration, peak, good, knee, confirmed))


def _capacities(runs: Sequence[LiveRun]) -> Metric:
    family = _gauge(
        "loadgen_run_capacity_rate",
        "Highest rate that keeps the thresholds, by a breakpoint search.",
        "service",
        "bound",
    )
    for run in runs:
        found = run.capacity
        bounds = {"lower": found.lower, "expected": found.expected, "upper": found.upper} if found else {}
        for bound, value in bounds.items():
            if value is not None:
                labels = {"test": run.test, "run_id": run.run_id, "tested_service": run.service, "bound": bound}
                family.add_sample(family.name, {label: text for label, text in labels.items() if text}, value)
    return family


def _results(runs: Sequence[LiveRun]) -> Iterator[Metric]:
    verdict = _gauge("loadgen_verdict", "Verdict of an ended run.", "verdict")
    reason = _gauge("loadgen_verdict_reason", "Why the verdict of an ended run is what it is.", "reason")
    passed = _gauge(
        "loadgen_threshold_passed",
        "Whether a threshold held over the run; `measured` is its value as people read it.",
        "threshold",
        "measured",
    )
    value = _gauge("loadgen_threshold_value", "Value that a threshold was compared with, in base units.", "threshold")
    for run in runs:
        if run.summary is None:
            continue
        key = (run.test, run.run_id)
        verdict.add_metric((*key, run.summary.verdict), 1)
        for text in dict.fromkeys(_fit(text) for text in run.summary.reasons[:_MOST_REASONS]):
            reason.add_metric((*key, text), 1)
        # Two gates may read the same: the first stands for both.
        for name, gate in {_fit(gate.text): gate for gate in reversed(run.summary.gates)}.items():
            passed.add_metric((*key, name, gate.measured), float(bool(gate.passed)))
            if gate.value is not None:
                value.add_metric((*key, name), gate.value)
    return iter((verdict, reason, passed, value))


def _fit(text: str) -> str:
    text = shown(text)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(*_RUN, *labels))
