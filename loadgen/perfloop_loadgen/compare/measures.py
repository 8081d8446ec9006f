"""What two groups of runs are compared by: percentiles and errors of each endpoint, and the rate."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.samples.book import Point
    from perfloop_loadgen.summary.document import Document
    from perfloop_loadgen.summary.numbers import EndpointSummary, StreamSummary, Times

ALL = "all"
ERRORS = "errors"
RATE = "rate"
# The names that can be chosen, in the order of the table.
MEASURES = ("p50", "p95", "p99", "ttft_p95", "tpot_p95", RATE, ERRORS)
# Open loads: their rate is the schedule's, whatever the service does.
_SCHEDULED = {"constant_rate", "ramping_rate", "poisson_rate"}
_LARGEST = 1e12
_STREAMED = {"ttft": "first_token", "tpot": "per_token"}


@dataclass(frozen=True, slots=True)
class Subject:
    """One number of a run: which, and of which endpoint (`ALL`: of all of them together)."""

    endpoint: str
    measure: str

    @property
    def unit(self) -> str:
        """Return the unit of its values: seconds, requests per second, or a share of requests."""
        return {ERRORS: "ratio", RATE: "rate"}.get(self.measure, "seconds")

    @property
    def up_is_worse(self) -> bool:
        """Return whether a larger value is a worse one."""
        return self.measure != RATE

    def value(self, run: Document) -> float | None:
        """Return the number of one run; None without enough values to compute it from."""
        endpoint = find_endpoint(run, self.endpoint)
        if endpoint is None:
            return None
        if self.measure == ERRORS:
            share = endpoint.error_ratio
            return share if endpoint.total_requests > 0 and 0 <= share <= 1 else None
        found = run.summary.requests_per_second if self.measure == RATE else self._percentile(endpoint)
        # What has no logarithm, or no measurement can be, is no value.
        return found if found is not None and 0 < found < _LARGEST else None

    def is_beyond(self, run: Document) -> bool:
        """Return whether the run has values, but too few for this percentile."""
        endpoint = find_endpoint(run, self.endpoint)
        if endpoint is None or self.unit != "seconds":
            return False
        times = _times(endpoint, self.measure.rpartition("_")[0])
        return times is not None and times.count > 0 and self._percentile(endpoint) is None

    def within(self, point: Point) -> float | None:
        """Return the number of one second of a run, as far as timelines have it: of all endpoints together."""
        if self.measure == RATE:
            return point.requests / point.span_seconds
        found: float | None = getattr(point, f"{self.measure}_seconds", None)
        return found

    def _percentile(self, endpoint: EndpointSummary) -> float | None:
        kind, _, name = self.measure.rpartition("_")
        times = _times(endpoint, kind)
        # Beyond the p99 of fifty values there is none: it would be their maximum.
        if times is None or times.count < ceil(100 / (100 - float(name[1:]))):
            return None
        return times.quantiles_seconds.get(name)


def find_endpoint(run: Document, label: str) -> EndpointSummary | None:
    """Return the numbers of an endpoint of the run, or of all together."""
    if label == ALL:
        return run.summary.total
    return next((one for one in run.summary.endpoints if one.label == label), None)


def subjects(runs: Sequence[Document], chosen: Sequence[str]) -> Iterator[Subject]:
    """Yield what can be compared: what the chosen measures are of all endpoints, then of each one."""
    for subject in _candidates(runs, chosen):
        if any(subject.value(run) is not None for run in runs) and not any(subject.is_beyond(run) for run in runs):
            yield subject


def too_few(runs: Sequence[Document], chosen: Sequence[str]) -> Iterator[Subject]:
    """Yield the percentiles that some run has too few requests for, though it requested the endpoint."""
    for subject in _candidates(runs, chosen):
        if any(subject.is_beyond(run) for run in runs):
            yield subject


def _candidates(runs: Sequence[Document], chosen: Sequence[str]) -> Iterator[Subject]:
    labels = list(dict.fromkeys(one.label for run in runs for one in run.summary.endpoints))
    for endpoint in (ALL, *(labels if len(labels) > 1 else ())):
        for measure in MEASURES:
            if measure in chosen and _applies(runs, endpoint, measure):
                yield Subject(endpoint, measure)


def _applies(runs: Sequence[Document], endpoint: str, measure: str) -> bool:
    found = [one for run in runs if (one := find_endpoint(run, endpoint)) is not None]
    if measure == RATE:
        return endpoint == ALL and all(run.profile not in _SCHEDULED for run in runs)
    if measure == ERRORS:
        return endpoint == ALL or any(one.failed_requests for one in found)
    kind = measure.rpartition("_")[0]
    return any((times := _times(one, kind)) is not None and times.count > 0 for one in found)


def _times(endpoint: EndpointSummary, kind: str) -> Times | None:
    if not kind:
        return endpoint.response
    streams: StreamSummary | None = endpoint.streams
    found: Times | None = getattr(streams, _STREAMED[kind], None)
    return found
