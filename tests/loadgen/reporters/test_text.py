"""A run in plain lines, word for word."""

from __future__ import annotations

from dataclasses import replace

from perfloop_loadgen.reporters.text import gate_line, progress_line, summary_lines, trial_line
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import TrialRow
from perfloop_loadgen.summary.verdict import GateResult, Verdict

MS = 1_000_000


def _book() -> Book:
    """Ten seconds: ninety-eight good answers after 20 ms, two timeouts, one of them late, three requests dropped."""
    tally = Tally()
    tally.on_time.record(20 * MS, 99)
    tally.record_behind(intended=0, started=30 * MS, ended=1030 * MS)
    tally.outcomes |= {"ok": 98, "timeout": 2}
    tally.dropped = 3
    book = Book(Labels(["GET /"]))
    book.add([tally], 10, 10, Load(users=4, target_rate=10.3))
    return book


def test_the_results_of_a_run():
    """Requests, times with their counts, late starts and dropped requests in rows of their own, the verdict."""
    gates = [GateResult("p95 < 0.5 s", passed=True, value=0.02, samples=100, unit="seconds")]
    summary = replace(summarize("shop", _book(), 10), verdict=Verdict.FAILED, reasons=["a reason"], gates=gates)
    assert list(summary_lines(summary)) == [
        "shop",
        "  100 requests in 10.0 s, 10.0/s, 2 failed requests (2.00%)",
        "  response     p50 20 ms, p90 20 ms, p95 20 ms, p99 20 ms, p99.9 1.03 s, max 1.03 s (n=100)",
        "  service      p50 20 ms, p90 20 ms, p95 20 ms, p99 20 ms, p99.9 1 s, max 1 s (n=100)",
        "  schedule lag p50 0 s, p90 0 s, p95 0 s, p99 0 s, p99.9 30.01 ms, max 30.01 ms (n=100)",
        "  late starts            1",
        "  dropped                3",
        "  ok                     98",
        "  timeout                2",
        "  GET /: 100 requests, 2 failed requests, p50 20 ms, p95 20 ms, p99 20 ms",
        "  gate passed: p95 < 0.5 s, measured 20 ms (n=100)",
        "  verdict: failed",
        "    a reason",
    ]


def test_a_run_without_thresholds_says_so():
    """A verdict that rests on no gate is marked."""
    assert list(summary_lines(summarize("shop", _book(), 10)))[-1] == "  verdict: passed, without thresholds"


def test_a_line_of_progress():
    """The last second's rate, the totals, and the p95 of the last seconds and of the whole run."""
    assert progress_line("shop", 10, _book()) == (
        "shop: 10 s, target 10.3/s, 10.0 requests/s, 100 requests, 2 failed requests, p95 20 ms (whole run 20 ms)"
    )


def test_gates_and_trials():
    """What failed says what was measured, what had no data says that."""
    failed = GateResult("errors < 1 %", passed=False, value=0.02, samples=100, unit="ratio")
    assert gate_line(failed) == "FAILED: errors < 1 %, measured 2% (n=100)"
    assert gate_line(GateResult("ttft_p95 < 1 s", passed=None, value=None)) == "NO DATA: ttft_p95 < 1 s"
    trial = TrialRow(640, "double", passed=False, reason="too slow", p95_seconds=2.57, goodput_rate=162.5)
    assert trial_line(trial) == "double       640/s  good    162.5/s  p95   2.57 s  failed: too slow"
