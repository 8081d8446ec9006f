"""Forecast of traffic beside its peers: how far off (MASE), and how often the 90 % bounds hold.

Usage: python benchmarks/forecast.py [FILE or DIRECTORY ...] [--rates] [--column NAME] [--seed 1] [--series 2]
       [--origins 4] [--only METHOD ...] [--tasks TASK ...] [--each]

Without files, 14 generated series (7 kinds) with a known rate. A file is CSV, gzipped or not: a time and a value a line
(requests within the step; with --rates, requests per second), or a time for each request of a trace.

Tasks: `hour` ahead in steps of 5 minutes, `day` and `week` ahead in steps of an hour, each with the last 28 days as the
past, as the analyzer forecasts; and `minutes`, 5 ahead in steps of 15 s, for traces of hours. Each series is forecast
from several moments of its second half. MASE is the mean absolute error over that of the seasonal naive forecast in the
first half of the series (for `minutes` of the newest value). Peers are statsforecast's SeasonalNaive, HoltWinters and
AutoARIMA, fitted to 14 days with a season of 24 hours, or to 3 days of steps of 5 minutes without one (Holt's method
then), because they take none of 288; and PromQL's predict_linear over a horizon. A moment from which one method has no
forecast counts for none.

Bars: the median over the series of every task is no higher than each peer's, with 2 % of slack for ties, and the bounds
hold 85 to 95 % over all. Exit code 1 where one is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import peers
from traffic_series import Traffic, coarsen, find_files, generate, read

from perfloop_analyzer.planning.traffic import Forecast, Outlook, forecast_peaks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfloop_analyzer.series import Floats

OURS, LINEAR = "perfloop", "predict_linear"
PEERS = ("seasonal naive", "Holt-Winters", "AutoARIMA")
PAST_SECONDS = 28 * 86_400.0
TIE = 1.02
COVERED = (0.85, 0.95)


@dataclass(frozen=True, slots=True)
class Task:
    """What is forecast: in steps of so many seconds, so far ahead.

    `period` is the seasonal naive forecast's, `season` that of the models, `least` how many points a series must have.
    `fitted` is how many of the newest points the models are fitted to: AutoARIMA takes minutes for more. `often` is how
    many times --origins a series is forecast: a few single hours say little.
    """

    name: str
    step: float
    horizon: float
    period: int
    season: int
    least: int
    fitted: int
    often: int = 1

    @property
    def ahead(self) -> int:
        """Points of the horizon."""
        return round(self.horizon / self.step)


TASKS = (
    Task("minutes", 15.0, 300.0, 1, 1, 160, 240, often=4),
    Task("hour", 300.0, 3600.0, 288, 1, 4 * 288, 864, often=4),
    Task("day", 3600.0, 86_400.0, 24, 24, 8 * 24, 336),
    Task("week", 3600.0, 604_800.0, 168, 24, 28 * 24, 336),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A past without gaps, shape (points,), what came, and the mean error of the naive forecast before."""

    series: str
    past: Floats
    known: Floats
    actual: Floats
    scale: float


def make_cases(series: Iterable[Traffic], task: Task, origins: int) -> list[Case]:
    """Return the cases of a task: of each series that has its step and is long enough, `origins` moments."""
    cases = []
    for traffic in series:
        if traffic.step > task.step or (task.name == "minutes") != (len(traffic.rates) * traffic.step < 86_400):
            continue
        rates = coarsen(traffic, task.step).rates
        last = len(rates) - task.ahead
        first = max(len(rates) // 2, last - len(rates) // 2)
        if len(rates) < task.least:
            continue
        filled = _filled(rates)
        before = filled[:first]
        scale = float(np.abs(before[task.period :] - before[: -task.period]).mean())
        for at in np.unique(np.linspace(first, last, origins).astype(np.int64)) if scale else ():
            begin = max(0, int(at) - round(PAST_SECONDS / task.step))
            actual = rates[at : at + task.ahead]
            cases.append(Case(traffic.name, filled[begin:at], rates[begin:at], actual, scale))
    return cases


def _filled(rates: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(rates))
    return np.interp(np.arange(len(rates)), known, rates[known])


def ours(cases: Sequence[Case], task: Task) -> tuple[list[Floats], list[bool | None], float]:
    """Return per case mean, lower and upper bound, NaN where it is refused; whether the peak's bounds held; seconds."""
    answers, held, before = [], [], time.process_time()
    for case in cases:
        found = forecast_peaks(case.known[None, :], (task.step, 1), 0.0, task.horizon)[0]
        if isinstance(found, Outlook):
            path: Forecast = found.path
            answers.append(np.stack([path.expected, path.lower, path.upper]))
            held.append(bool(found.peak.lower <= np.nanmax(case.actual) <= found.peak.upper))
        else:
            answers.append(np.full((3, task.ahead), np.nan))
            held.append(None)
    return answers, held, time.process_time() - before


def predict_linear(cases: Sequence[Case], task: Task) -> list[Floats]:
    """Return PromQL's forecast: the least-squares line through the newest horizon, continued; it has no bounds."""
    answers = []
    for case in cases:
        newest = case.past[-task.ahead :]
        slope, level = np.polyfit(np.arange(-len(newest) + 1, 1), newest, 1)
        line = np.maximum(level + slope * np.arange(1, task.ahead + 1), 0.0)
        answers.append(np.stack([line, np.full_like(line, np.nan), np.full_like(line, np.nan)]))
    return answers


def ask_peers(cases: Sequence[Case], task: Task, methods: Sequence[str]) -> tuple[dict[str, list[Floats]], dict]:
    """Return each peer's answers (see peers/forecasts.py), and its CPU seconds."""
    if not methods:
        return {}, {}
    with tempfile.TemporaryDirectory() as directory:
        asked, answer = Path(directory, "asked.npz"), Path(directory, "answer.npz")
        facts = {name: getattr(task, name) for name in ("ahead", "season", "period", "fitted")}
        facts["methods"] = np.array(methods)
        np.savez(asked, *(case.past for case in cases), **facts)
        script = str(peers.HERE / "peers" / "forecasts.py")
        subprocess.run([peers.interpreter("statsforecast"), script, str(asked), str(answer)], check=True)
        stored = np.load(answer)
        return {one: list(stored[one]) for one in methods}, {one: float(stored[f"{one} seconds"]) for one in methods}


@dataclass(frozen=True, slots=True)
class Score:
    """Of one method in one task: MASE of each series, and the shares of values within, below and above the bounds."""

    errors: dict[str, float]
    held: float
    below: float
    above: float

    @property
    def median(self) -> float:
        """The median of the series."""
        return float(np.median(list(self.errors.values())))


def score(cases: Sequence[Case], answers: Sequence[Floats]) -> Score:
    """Compare the answers with what came."""
    errors: dict[str, list[float]] = defaultdict(list)
    inside, under, over, count = 0, 0, 0, 0
    for case, (middle, lower, upper) in zip(cases, answers, strict=True):
        known = np.isfinite(case.actual)
        if not known.any():
            continue
        errors[case.series].append(float(np.abs(case.actual - middle)[known].mean() / case.scale))
        if np.isfinite(lower).all():
            under += int((case.actual[known] < lower[known]).sum())
            over += int((case.actual[known] > upper[known]).sum())
            count += int(known.sum())
    inside = count - under - over
    shares = (inside, under, over) if count else (np.nan, np.nan, np.nan)
    return Score({one: float(np.mean(all_)) for one, all_ in errors.items()}, *(one / max(count, 1) for one in shares))


def _report(task: Task, scores: dict[str, Score], facts: str, *, each: bool) -> bool:
    """Print the table of a task; return whether ours is the best or equal."""
    print(f"\n{task.name}: {len(scores[OURS].errors)} series, {facts}")
    for method, one in scores.items():
        bounds = (
            f"bounds hold {one.held:5.1%} ({one.below:.1%} below, {one.above:.1%} above)"
            if one.held == one.held
            else ""
        )
        print(f"  {method:15s} MASE median {one.median:6.3f}, mean {np.mean(list(one.errors.values())):6.3f}  {bounds}")
    if each:
        print(f"  {'':28s}" + "".join(f"{name:>16s}" for name in scores))
        for series in scores[OURS].errors:
            print(f"  {series:28s}" + "".join(f"{one.errors[series]:16.3f}" for one in scores.values()))
    best = min((one.median for name, one in scores.items() if name != OURS), default=np.inf)
    good = scores[OURS].median <= TIE * best
    print(f"  {scores[OURS].median / best:.2f} x the best peer{'' if good else '  MISSED'}", flush=True)
    return bool(good)


def judge(series: Sequence[Traffic], task: Task, arguments: argparse.Namespace) -> tuple[bool, Score | None]:
    """Measure one task; return whether its bar is met, and our own score."""
    cases = make_cases(series, task, arguments.origins * task.often)
    if not cases:
        return True, None
    own, peaks, seconds = ours(cases, task)
    answers = {OURS: own}
    found, spent = ask_peers(cases, task, [name for name in PEERS if name in arguments.only])
    answers |= found
    if LINEAR in arguments.only:
        answers[LINEAR] = predict_linear(cases, task)
    whole = [all(np.isfinite(one[at][0]).all() for one in answers.values()) for at in range(len(cases))]
    used = [case for case, good in zip(cases, whole, strict=True) if good]
    if not used:
        print(f"\n{task.name}: no series that every method can forecast")
        return True, None
    scores = {
        name: score(used, [answer for answer, good in zip(all_, whole, strict=True) if good])
        for name, all_ in answers.items()
    }
    known = [held for held in peaks if held is not None]
    costs = {OURS: seconds, **spent}
    facts = (
        f"{len(used)} forecasts, {len(cases) - len(used)} left out ({peaks.count(None)} refused by {OURS}); peaks "
        f"within their bounds {np.mean(known):.1%}; CPU a forecast "
        + ", ".join(f"{name} {1e3 * cost / len(cases):.1f} ms" for name, cost in costs.items())
    )
    return _report(task, scores, facts, each=arguments.each), scores[OURS]


def main() -> int:
    """Print a table for each task; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rates", action="store_true", help="values are requests per second")
    parser.add_argument("--column", default="", help="the column with values")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--series", type=int, default=2, help="generated series of each kind")
    parser.add_argument(
        "--origins",
        type=int,
        default=4,
        help="moments from which each series is forecast; of an hour and of minutes four times as many",
    )
    parser.add_argument("--only", nargs="*", default=[*PEERS, LINEAR], help="the peers")
    parser.add_argument("--tasks", nargs="+", default=[task.name for task in TASKS])
    parser.add_argument("--each", action="store_true", help="print every series")
    arguments = parser.parse_args()
    files = find_files(arguments.files)
    series = [read(path, as_rates=arguments.rates, column=arguments.column) for path in files]
    series = series or list(generate(arguments.series, arguments.seed))
    outcomes = [judge(series, task, arguments) for task in TASKS if task.name in arguments.tasks]
    held = [one.held for _, one in outcomes if one is not None]
    if not held:
        print("no series is long enough for a task")
        return 1
    covered = bool(COVERED[0] <= np.mean(held) <= COVERED[1])
    print(f"\nbounds hold {np.mean(held):.1%} over the tasks (bar 85 to 95 %){'' if covered else '  MISSED'}")
    met = covered and all(good for good, _ in outcomes)
    print("bars met" if met else "bars missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
