"""Judge what the generator itself measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_loadgen import outcomes
from perfloop_loadgen.summary.drift import drift_of
from perfloop_loadgen.summary.verdict import GateResult
from perfloop_loadgen.thresholds.expression import Expression, time_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.samples.histogram import Histogram
    from perfloop_loadgen.samples.tally import Tally


@dataclass(frozen=True, slots=True)
class ClientGate:
    """An expression, over everything or over one endpoint."""

    expression: Expression
    endpoint: str | None = None
    # From this second of the run on a crossed gate ends it; None: it is judged at the end only.
    abort_after_seconds: float | None = None

    @property
    def text(self) -> str:
        """Return the gate as reports show it."""
        return f"{self.endpoint}: {self.expression.text}" if self.endpoint else self.expression.text


def judge(gate: ClientGate, book: Book, duration_seconds: float) -> GateResult:
    """Return the value of the gate's metric and whether it passed; without data, neither."""
    tally = _tally(gate.endpoint, book)
    value, samples = (None, 0) if tally is None else _measure(gate.expression.metric, tally, book, duration_seconds)
    passed = None if value is None else gate.expression.comparison.holds(value)
    return GateResult(gate.text, passed, value, samples, unit_of(gate.expression.metric))


def _tally(endpoint: str | None, book: Book) -> Tally | None:
    return book.total() if endpoint is None else dict(book.rows()).get(endpoint)


def _measure(metric: str, tally: Tally, book: Book, duration: float) -> tuple[float | None, int]:
    time = time_of(metric)
    if time is not None:
        histogram = _histogram(time[0], tally)
        return (None, 0) if histogram is None else (_of_times(time[1], histogram), histogram.count)
    if metric == "drift":
        return drift_of(book.timeline()), len(book.points)
    return _NUMBERS[metric](tally, duration), tally.requests


def _histogram(of: str, tally: Tally) -> Histogram | None:
    if of in {"response", "service", "lag"}:
        histogram: Histogram = getattr(tally, of)
        return histogram
    if tally.streams is None:
        return None
    named: Histogram = getattr(tally.streams, _STREAM_TIMES[of])
    return named


def _of_times(what: str, histogram: Histogram) -> float | None:
    if what == "avg":
        return histogram.mean_seconds
    quantile = {"min": 0.0, "max": 1.0}.get(what)
    return histogram.quantile_seconds(float(what[1:]) / 100 if quantile is None else quantile)


def _share(count: int, of: int) -> float | None:
    return count / of if of else None


def _timeouts(tally: Tally) -> int:
    return tally.outcomes.get(outcomes.TIMEOUT, 0) + tally.outcomes.get(outcomes.CONNECT_TIMEOUT, 0)


_STREAM_TIMES = {
    "ttft": "first_token",
    "first_answer": "first_answer",
    "first_reasoning": "first_reasoning",
    "gap": "gap",
    "stall": "stall",
    "tpot": "per_token",
}
_NUMBERS: dict[str, Callable[[Tally, float], float | None]] = {
    "errors": lambda tally, _: _share(tally.errors, tally.requests),
    "timeouts": lambda tally, _: _share(_timeouts(tally), tally.requests),
    "dropped": lambda tally, _: _share(tally.dropped, tally.requests + tally.dropped),
    "rate": lambda tally, duration: tally.requests / duration if tally.requests else None,
    "requests": lambda tally, _: float(tally.requests),
    "goodput": lambda tally, duration: tally.streams.good / duration if tally.streams else None,
    "tokens_per_second": lambda tally, duration: tally.streams.output_tokens / duration if tally.streams else None,
}
