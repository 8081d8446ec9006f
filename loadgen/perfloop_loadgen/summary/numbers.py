"""The numbers of a run: the user's fields, and with each latency the number of values it was computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from perfloop_loadgen.samples.book import Book
from perfloop_loadgen.samples.histogram import Histogram
from perfloop_loadgen.samples.streams import StreamTally
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.samples.traces import TraceTally
from perfloop_loadgen.summary.verdict import GateResult, Verdict

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Times:
    """One distribution, in seconds, with the number of values that its percentiles were computed from."""

    count: int
    mean_seconds: float | None
    quantiles_seconds: dict[str, float | None]
    min_seconds: float | None
    max_seconds: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Times:
        """Read the numbers of a histogram."""
        low, *values, high = histogram.quantiles_seconds([0.0, *QUANTILES, 1.0])
        named = {percentile_name(q): value for q, value in zip(QUANTILES, values, strict=True)}
        return cls(histogram.count, histogram.mean_seconds, named, low, high)

    def milliseconds(self, name: str) -> float:
        """Return a percentile in milliseconds; NaN without values: a time of 0 would be the best there is."""
        return _milliseconds(self.quantiles_seconds[name])


def _milliseconds(seconds: float | None) -> float:
    return math.nan if seconds is None else seconds * 1000


def percentile_name(quantile: float) -> str:
    """Return p50, p99, p99.9."""
    return f"p{quantile * 100:.4g}"


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """Streamed answers; the formulas are in `perfloop_loadgen.samples.streams`."""

    answers: int
    good: int
    events: int
    input_tokens: int
    output_tokens: int
    counted_by_usage: int
    first_token: Times
    gap: Times
    stall: Times
    per_token: Times
    # To the first token that is not reasoning, of answers that have one; and to the first that is.
    first_answer: Times | None = None
    first_reasoning: Times | None = None
    reasoning_events: int = 0
    # The server's own counts, of the output and of the input.
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    # Of answers whose prompt was made to a length and whose server reported its own count of it.
    asked_answers: int = 0
    asked_input_tokens: int = 0
    counted_input_tokens: int = 0
    # Of answers whose length was that of a trace.
    asked_output_answers: int = 0
    asked_output_tokens: int = 0
    counted_output_tokens: int = 0

    @classmethod
    def of(cls, tally: StreamTally) -> StreamSummary:
        """Read the numbers of a tally of streams, which has the same names."""
        numbers: dict[str, Any] = {}
        for one in fields(cls):
            value = getattr(tally, one.name)
            numbers[one.name] = Times.of(value) if isinstance(value, Histogram) else value
        return cls(**numbers)


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """One check of answers."""

    name: str
    passed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Detail:
    """What an outcome was about: the name of a missing value, where a redirect pointed; `followed`: one that was."""

    outcome: str
    detail: str
    count: int


@dataclass(frozen=True, slots=True)
class Connections:
    """New connections that were answered on, by protocol and by the address that was connected to."""

    protocol: str
    address: str
    count: int


@dataclass(frozen=True, slots=True)
class Traced:
    """A request whose trace the service was to record; the time is from its intended start."""

    trace_id: str
    seconds: float
    outcome: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """Requests that carried a trace: how many, the slowest of them, and the last that failed."""

    sampled: int
    slowest: list[Traced] = field(default_factory=list)
    failed: list[Traced] = field(default_factory=list)

    @classmethod
    def of(cls, tally: TraceTally) -> TraceSummary:
        """Read the rows of a tally."""
        return cls(tally.sampled, [Traced(*row) for row in tally.slowest], [Traced(*row) for row in tally.failed])


@dataclass(frozen=True, slots=True)
class EndpointSummary:
    """One endpoint, or all of them together."""

    label: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    outcomes: dict[str, int]
    response: Times
    service: Times
    lag: Times
    late: int
    dropped: int
    bytes_received: int
    streams: StreamSummary | None = None
    # Scenarios that were run to their end, and those that ended before it.
    iterations: int = 0
    broken_off: int = 0
    checks: list[CheckSummary] = field(default_factory=list)
    # Answers by status code; each redirect that was followed is one.
    statuses: dict[str, int] = field(default_factory=dict)
    details: list[Detail] = field(default_factory=list)
    # Requests that were sent again: the server had closed the connection that they were sent on before any byte.
    retried: int = 0
    connections: list[Connections] = field(default_factory=list)
    traces: TraceSummary | None = None

    @classmethod
    def of(cls, label: str, tally: Tally) -> EndpointSummary:
        """Read the numbers of a tally."""
        return cls(
            label=label,
            total_requests=tally.requests,
            successful_requests=tally.requests - tally.errors,
            failed_requests=tally.errors,
            outcomes=dict(sorted(tally.outcomes.items())),
            response=Times.of(tally.response),
            service=Times.of(tally.service),
            lag=Times.of(tally.lag),
            late=tally.late,
            dropped=tally.dropped,
            bytes_received=tally.bytes_received,
            streams=None if tally.streams is None else StreamSummary.of(tally.streams),
            iterations=tally.iterations,
            broken_off=tally.broken_off,
            statuses=tally.statuses_by_name(),
            details=[Detail(*key, count) for key, count in sorted(tally.details.items())],
            retried=tally.retried,
            connections=[Connections(*key, count) for key, count in sorted(tally.connections.items())],
            traces=None if tally.traces is None else TraceSummary.of(tally.traces),
            checks=[
                CheckSummary(name, tally.checks.get((name, True), 0), tally.checks.get((name, False), 0))
                for name in dict.fromkeys(name for name, _ in tally.checks)
            ],
        )

    @property
    def error_ratio(self) -> float:
        """Return failed requests over all; 0 without requests."""
        return self.failed_requests / self.total_requests if self.total_requests else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run. The properties are short names for the numbers that are read most often.

    Response times are NaN where no request has one, as when nothing listens: never 0, which would be the best of all.
    """

    name: str
    duration_seconds: float
    total: EndpointSummary
    endpoints: list[EndpointSummary] = field(default_factory=list)
    end_reason: str = ""
    verdict: Verdict = Verdict.PASSED
    reasons: list[str] = field(default_factory=list)
    gates: list[GateResult] = field(default_factory=list)
    # The most requests that ended within a second; None of a run that had no whole second.
    peak_rate: float | None = None
    # Where the time of requests went; empty for an engine that does not measure it.
    phases: dict[str, Times] = field(default_factory=dict)
    # What a reader must know to read the numbers right, one sentence each; every report shows them.
    notes: list[str] = field(default_factory=list)

    @property
    def total_requests(self) -> int:
        """Return how many requests ended, whatever the outcome."""
        return self.total.total_requests

    @property
    def successful_requests(self) -> int:
        """Return how many were answered as expected."""
        return self.total.successful_requests

    @property
    def failed_requests(self) -> int:
        """Return how many were not answered as expected."""
        return self.total.failed_requests

    @property
    def error_rate_percent(self) -> float:
        """Return failed requests in percent of all."""
        return self.total.error_ratio * 100

    @property
    def requests_per_second(self) -> float:
        """Return the mean throughput over the whole run."""
        return self.total_requests / self.duration_seconds if self.duration_seconds else 0.0

    @property
    def avg_response_time_ms(self) -> float:
        """Return the mean response time, from the intended start."""
        return _milliseconds(self.total.response.mean_seconds)

    @property
    def min_response_time_ms(self) -> float:
        """Return the shortest response time."""
        return _milliseconds(self.total.response.min_seconds)

    @property
    def max_response_time_ms(self) -> float:
        """Return the longest response time."""
        return _milliseconds(self.total.response.max_seconds)

    @property
    def p50_response_time_ms(self) -> float:
        """Return the median response time."""
        return self.total.response.milliseconds("p50")

    @property
    def p95_response_time_ms(self) -> float:
        """Return the 95th percentile of the response time."""
        return self.total.response.milliseconds("p95")

    @property
    def p99_response_time_ms(self) -> float:
        """Return the 99th percentile of the response time."""
        return self.total.response.milliseconds("p99")

    @property
    def outcomes(self) -> dict[str, int]:
        """Return how many requests ended under each name."""
        return self.total.outcomes

    @property
    def statuses(self) -> dict[str, int]:
        """Return how many answers had each status code; each redirect that was followed is one."""
        return self.total.statuses


def summarize(name: str, book: Book, duration_seconds: float, end_reason: str = "") -> Summary:
    """Return the numbers of a book, not judged."""
    total = book.total()
    return Summary(
        name=name,
        duration_seconds=duration_seconds,
        total=EndpointSummary.of("all", total),
        endpoints=[EndpointSummary.of(label, tally) for label, tally in book.rows()],
        end_reason=end_reason,
        peak_rate=book.peak_rate,
        phases={name: Times.of(histogram) for name, histogram in total.phases_by_name().items()},
    )
