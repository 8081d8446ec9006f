"""A run in plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.quantities import quantity
from perfloop_loadgen.samples.streams import FORMULAS
from perfloop_loadgen.summary.verdict import DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.summary import EndpointSummary, StreamSummary, Summary, Times
    from perfloop_loadgen.summary.document import TrialRow
    from perfloop_loadgen.summary.verdict import GateResult

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
    if total.late or total.dropped:
        yield f"  {'late starts':<22} {total.late}"
        yield f"  {'dropped':<22} {total.dropped}"
    for outcome, count in total.outcomes.items():
        yield f"  {outcome:<22} {count}"
    for endpoint in summary.endpoints:
        yield _endpoint(endpoint)
        if endpoint.streams is not None:
            yield from _streams(endpoint.streams, summary.duration_seconds)
        yield from (
            f"    check {check.name}: {check.passed} passed, {check.failed} failed" for check in endpoint.checks
        )
    if total.iterations:
        yield f"  {'iterations':<22} {total.iterations}"
    for phase, times in summary.phases.items():
        yield from _times(phase, times)
    for gate in summary.gates:
        yield f"  gate {gate_line(gate)}"
    yield f"  verdict: {summary.verdict}{'' if summary.gates or summary.reasons else ', without thresholds'}"
    yield from (f"    {reason}" for reason in summary.reasons)
    yield from (f"  note: {note}" for note in summary.notes)


def trial_line(trial: TrialRow) -> str:
    """Return one rate that a breakpoint search tried, with its result."""
    result = "passed" if trial.passed else f"failed: {trial.reason}"
    p95 = seconds(trial.p95_seconds)
    return f"{trial.stage:<7} {trial.rate:>8.4g}/s  good {trial.goodput_rate:>8.4g}/s  p95 {p95:>8}  {result}"


def gate_line(gate: GateResult) -> str:
    """Return a gate, the value it measured, and the number of samples behind it."""
    mark = {True: "passed", False: "FAILED", None: "NO DATA"}[gate.passed]
    measured = "" if gate.value is None else f", measured {gate.measured} (n={gate.samples})"
    return f"{mark}: {gate.text}{measured}"


def _streams(streams: StreamSummary, duration_seconds: float) -> Iterator[str]:
    for name, formula, times in (
        ("time to first token", "time_to_first_token", streams.first_token),
        ("gap", "gap", streams.gap),
        ("longest stall", "longest_stall", streams.stall),
        ("time per output token", "time_per_output_token", streams.per_token),
    ):
        for line in _times(name, times):
            yield f"  {line}"
            yield f"      = {FORMULAS[formula]}"
    if duration_seconds:
        yield f"    {streams.output_tokens / duration_seconds:.1f} tokens/s = {FORMULAS['tokens_per_second']}"
        yield f"    goodput {streams.good / duration_seconds:.2f}/s = {FORMULAS['goodput']}"
    if streams.counted_by_usage < streams.answers:
        counted = streams.answers - streams.counted_by_usage
        yield f"    {counted} of {streams.answers} answers reported no usage: each event was counted as one token"


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
