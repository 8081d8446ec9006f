"""The runs of one test that was repeated, and how well their p95 repeats."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfloop_base.quantities import quantity
from perfloop_loadgen.summary.numbers import Summary
from perfloop_loadgen.summary.verdict import DIGITS, Verdict


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """One run of a repeated test. Times in seconds, the rate in requests per second."""

    run_id: str
    started_at: str
    verdict: Verdict
    requests: int
    error_ratio: float
    rate: float
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    # Why it is left out of the interval; empty for one that counts.
    left_out: str = ""

    @classmethod
    def of(cls, run_id: str, started_at: str, summary: Summary, left_out: str) -> RepeatRow:
        """Read the numbers of a run."""
        times = summary.total.response.quantiles_seconds
        return cls(
            run_id=run_id,
            started_at=started_at,
            verdict=summary.verdict,
            requests=summary.total_requests,
            error_ratio=summary.total.error_ratio,
            rate=summary.requests_per_second,
            p50_seconds=times["p50"],
            p95_seconds=times["p95"],
            p99_seconds=times["p99"],
            left_out=left_out,
        )


@dataclass(frozen=True, slots=True)
class Repeats:
    """Every run of a repeated test, and the interval of its p95 (formulas: `perfloop_loadgen.compare.interval`)."""

    runs: list[RepeatRow] = field(default_factory=list)
    # Of the p95 over the runs that count, in seconds: the geometric mean and its 95% interval.
    center_seconds: float | None = None
    low_seconds: float | None = None
    high_seconds: float | None = None
    # By which share the upper bound lies above the mean, and what was asked for.
    half_width_ratio: float | None = None
    asked_ratio: float | None = None
    # Standard deviation between runs, as a share.
    spread_ratio: float | None = None
    # How many runs the asked interval takes if their spread stays; None: unknown, or not with any number of runs.
    runs_needed: int | None = None

    @property
    def is_narrow_enough(self) -> bool:
        """Return whether the interval is as narrow as was asked for."""
        if self.asked_ratio is None:
            return True
        return self.half_width_ratio is not None and self.half_width_ratio <= self.asked_ratio

    @property
    def counted(self) -> int:
        """Return how many runs the interval is computed from."""
        return sum(not run.left_out for run in self.runs)

    def sentence(self) -> str:
        """Return the result for people."""
        if self.center_seconds is None or self.half_width_ratio is None:
            return f"p95: no interval from {self.counted} of {len(self.runs)} runs: it takes two that have a result"
        low, high = (quantity(value, "seconds", DIGITS) for value in (self.low_seconds, self.high_seconds))
        found = (
            f"p95 {quantity(self.center_seconds, 'seconds', DIGITS)} ± {percent(self.half_width_ratio)} "
            f"(95% interval {low} to {high} over {self.counted} runs)"
        )
        if self.is_narrow_enough or self.asked_ratio is None:
            return found
        return f"{found}: wider than ± {percent(self.asked_ratio)}, {self._what_it_takes()}"

    def _what_it_takes(self) -> str:
        differ = f"runs differ by {percent(self.spread_ratio or 0.0)}"
        if self.runs_needed is None:
            return f"and no number of runs makes it so: {differ}"
        return f"which would take about {self.runs_needed} runs: {differ}"


def percent(ratio: float) -> str:
    """Return a share in percent, with two digits: 3.1%, 12%."""
    return quantity(ratio, "ratio", 2)
