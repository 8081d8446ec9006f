"""A run in plain lines."""

from __future__ import annotations

from collections.abc import Iterator

from loadgen.samples.book import Book
from loadgen.summary import EndpointSummary, Summary, Times

_SHOWN = ("p50", "p90", "p95", "p99", "p99.9")


def seconds(value: float | None) -> str:
    """Return a time at a size that reads well."""
    if value is None:
        return "-"
    if value < 0.001:  # noqa: PLR2004 - below a millisecond, microseconds read better
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1000:.4g} ms" if value < 1 else f"{value:.3f} s"


def progress_line(name: str, elapsed_seconds: float, book: Book) -> str:
    """Return one line on the run under way: the last seconds beside the whole."""
    lately, total = book.lately(), book.total()
    point = book.timeline()[-1]
    rate = point.requests / point.span_seconds if point.span_seconds else 0.0
    p95 = lately.response.quantile_seconds(0.95)
    whole = total.response.quantile_seconds(0.95)
    load = f"{book.load.users} users" if book.load.target_rate is None else f"target {book.load.target_rate:.4g}/s"
    return (
        f"{name}: {elapsed_seconds:.0f} s, {load}, {rate:.1f} requests/s, {total.requests} requests, "
        f"{total.errors} errors, p95 {seconds(p95)} (whole run {seconds(whole)})"
    )


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield the end of a run."""
    total = summary.total
    yield f"{summary.name}: {summary.end_reason}" if summary.end_reason else summary.name
    yield (
        f"  {total.total_requests} requests in {summary.duration_seconds:.1f} s, "
        f"{summary.requests_per_second:.1f}/s, {total.failed_requests} failed ({summary.error_rate_percent:.2f} %)"
    )
    yield from _times("response", total.response)
    yield from _times("service", total.service)
    yield from _times("schedule lag", total.lag)
    if total.late or total.dropped:
        yield f"  late starts {total.late}, dropped {total.dropped}"
    for outcome, count in total.outcomes.items():
        yield f"  {outcome:<22} {count}"
    for endpoint in summary.endpoints:
        yield _endpoint(endpoint)


def _times(name: str, times: Times) -> Iterator[str]:
    if times.count:
        values = ", ".join(f"{shown} {seconds(times.quantiles_seconds[shown])}" for shown in _SHOWN)
        yield f"  {name:<12} {values}, max {seconds(times.max_seconds)} (n={times.count})"


def _endpoint(endpoint: EndpointSummary) -> str:
    times = endpoint.response.quantiles_seconds
    return (
        f"  {endpoint.label}: {endpoint.total_requests} requests, {endpoint.failed_requests} failed, "
        f"p50 {seconds(times['p50'])}, p95 {seconds(times['p95'])}, p99 {seconds(times['p99'])}"
    )
