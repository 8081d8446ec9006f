"""A run in plain lines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfloop_base.quantities import quantity
from perfloop_loadgen.reporters.streams import stream_sentences, stream_times
from perfloop_loadgen.summary.verdict import DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.summary import EndpointSummary, StreamSummary, Summary, Times
    from perfloop_loadgen.summary.document import TrialRow
    from perfloop_loadgen.summary.numbers import Detail, Traced
    from perfloop_loadgen.summary.repeats import Repeats
    from perfloop_loadgen.summary.verdict import GateResult

# Why requests are sent again.
SENT_AGAIN = "the server had closed the connection that they were sent on before any byte of an answer"
_MOST_ADDRESSES = 8
# Of each kind; the JSON report has them all.
_MOST_TRACES = 5
_SHOWN = ("p50", "p90", "p95", "p99", "p99.9")


def seconds(value: float | None) -> str:
    """Return a time (given in seconds) in µs, ms or s."""
    return quantity(value, "seconds", DIGITS)


def progress_line(name: str, elapsed_seconds: float, book: Book) -> str:
    """Return one line on the run under way: the last seconds, and the whole run."""
    lately, total = book.lately(), book.total()
    point = book.timeline()[-1]
    rate = point.requests / point.span_seconds if point.span_seconds else 0.0
    p95 = lately.response.quantile_seconds(0.95)
    whole = total.response.quantile_seconds(0.95)
    load = f"{book.load.users} users" if book.load.target_rate is None else f"target {book.load.target_rate:.4g}/s"
    return (
        f"{name}: {elapsed_seconds:.0f} s, {load}, {rate:.1f} requests/s, {total.requests} requests, "
        f"{total.errors} failed requests, p95 {seconds(p95)} (whole run {seconds(whole)})"
    )


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield the results of a run."""
    total = summary.total
    failed = f"{total.failed_requests} failed requests ({summary.error_rate_percent:.2f}%)"
    yield f"{summary.name}: {summary.end_reason}" if summary.end_reason else summary.name
    yield (
        f"  {total.total_requests} requests in {summary.duration_seconds:.1f} s, "
        f"{summary.requests_per_second:.1f}/s, {failed}"
    )
    yield from _times("response", total.response)
    yield from _times("service", total.service)
    yield from _times("schedule lag", total.lag)
    yield from (f"  {name:<22} {count}" for name, count in _counts(total))
    for endpoint in summary.endpoints:
        yield _endpoint(endpoint)
        if endpoint.streams is not None:
            yield from _streams(endpoint.streams, summary.duration_seconds)
        yield from (
            f"    check {check.name}: {check.passed} passed, {check.failed} failed" for check in endpoint.checks
        )
        yield from (f"    {detail_line(detail)}" for detail in endpoint.details)
    yield from (f"  {name:<22} {text}" for name, text in _of_users(total))
    yield from (f"  {line}" for line in trace_lines(total))
    for phase, times in summary.phases.items():
        yield from _times(phase, times)
    for gate in summary.gates:
        yield f"  gate {gate_line(gate)}"
    yield f"  verdict: {summary.verdict}{'' if summary.gates or summary.reasons else ', without thresholds'}"
    yield from (f"    {reason}" for reason in summary.reasons)
    yield from (f"  note: {note}" for note in summary.notes)


def _counts(total: EndpointSummary) -> Iterator[tuple[str, int]]:
    """Yield how requests started and ended."""
    if total.late or total.dropped:
        yield "late starts", total.late
        yield "dropped", total.dropped
    yield from total.outcomes.items()
    yield from ((f"status {status}", count) for status, count in total.statuses.items())


def _of_users(total: EndpointSummary) -> Iterator[tuple[str, str]]:
    """Yield what users did, and over which connections."""
    if total.iterations:
        yield "iterations", f"{total.iterations}"
    if total.broken_off:
        yield "broken off", f"{total.broken_off}"
    if total.connections:
        yield "connections", connections_line(total)
    if total.retried:
        yield "sent again", f"{total.retried}: {SENT_AGAIN}"


def trial_line(trial: TrialRow) -> str:
    """Return one rate that a breakpoint search tried, with its result."""
    result = "passed" if trial.passed else f"failed: {trial.reason}"
    p95 = seconds(trial.p95_seconds)
    return f"{trial.stage:<7} {trial.rate:>8.4g}/s  good {trial.goodput_rate:>8.4g}/s  p95 {p95:>8}  {result}"


def repeat_lines(repeats: Repeats) -> Iterator[str]:
    """Yield a line for each run of a repeated test."""
    for number, run in enumerate(repeats.runs, 1):
        times = ", ".join(
            f"{name} {seconds(value)}"
            for name, value in (("p50", run.p50_seconds), ("p95", run.p95_seconds), ("p99", run.p99_seconds))
        )
        left_out = f" (left out: {run.left_out})" if run.left_out else ""
        yield (
            f"run {number}: {run.verdict}, {run.requests} requests, {run.rate:.1f}/s, "
            f"{run.error_ratio:.2%} failed requests, {times}{left_out}"
        )


def gate_line(gate: GateResult) -> str:
    """Return a gate, the value it measured, and the number of samples behind it."""
    mark = {True: "passed", False: "FAILED", None: "NO DATA"}[gate.passed]
    measured = "" if gate.value is None else f", measured {gate.measured} (n={gate.samples})"
    return f"{mark}: {gate.text}{measured}"


def detail_line(detail: Detail) -> str:
    """Return what an outcome was about: `missing_value token (12 requests)`, `redirect 302 to /login (7 requests)`.

    Not `token: 12`: that would be hidden as a secret.
    """
    return f"{detail.outcome} {detail.detail} ({detail.count} requests)"


def connections_line(endpoint: EndpointSummary) -> str:
    """Return the new connections by protocol and by address: `20 with HTTP/1.1, to 127.0.0.1: 10, ::1: 10`."""
    protocols: Counter[str] = Counter()
    addresses: Counter[str] = Counter()
    for one in endpoint.connections:
        protocols[one.protocol] += one.count
        addresses[one.address] += one.count
    spoken = ", ".join(f"{count} with {protocol}" for protocol, count in protocols.most_common())
    reached = [f"{address}: {count}" for address, count in addresses.most_common(_MOST_ADDRESSES)]
    if len(addresses) > _MOST_ADDRESSES:
        reached.append(f"{len(addresses) - _MOST_ADDRESSES} other addresses")
    return f"{spoken}, to {', '.join(reached)}" if spoken else ""


def traced_requests(total: EndpointSummary) -> list[tuple[str, Traced]]:
    """Return the traces to look at, each once: those of the last failed requests, then of the slowest."""
    if total.traces is None:
        return []
    failed = total.traces.failed[-_MOST_TRACES:][::-1]
    known = {one.trace_id for one in failed}
    slowest = [one for one in total.traces.slowest[:_MOST_TRACES] if one.trace_id not in known]
    return [("failed", one) for one in failed] + [("slow", one) for one in slowest]


def trace_lines(total: EndpointSummary) -> Iterator[str]:
    """Yield how many requests carried a trace, and the ids of those to look at."""
    if total.traces is not None:
        yield f"{total.traces.sampled} requests carried a trace"
    for why, one in traced_requests(total):
        what = f"{one.outcome}, {seconds(one.seconds)}" if why == "failed" else seconds(one.seconds)
        yield f"  trace {one.trace_id} {why}: {one.endpoint}, {what}"


def statuses_line(statuses: Mapping[str, int]) -> str:
    """Return status codes with their counts: `200: 98, 404: 2`."""
    return ", ".join(f"{status}: {count}" for status, count in statuses.items())


def _streams(streams: StreamSummary, duration_seconds: float) -> Iterator[str]:
    for name, times, formula in stream_times(streams):
        for line in _times(name, times):
            yield f"  {line}"
            yield f"      = {formula}"
    yield from (f"    {sentence}" for sentence in stream_sentences(streams, duration_seconds))


def _times(name: str, times: Times) -> Iterator[str]:
    if times.count:
        values = ", ".join(f"{shown} {seconds(times.quantiles_seconds[shown])}" for shown in _SHOWN)
        yield f"  {name:<12} {values}, max {seconds(times.max_seconds)} (n={times.count})"


def _endpoint(endpoint: EndpointSummary) -> str:
    times = endpoint.response.quantiles_seconds
    return (
        f"  {endpoint.label}: {endpoint.total_requests} requests, {endpoint.failed_requests} failed requests, "
        f"p50 {seconds(times['p50'])}, p95 {seconds(times['p95'])}, p99 {seconds(times['p99'])}"
    )
