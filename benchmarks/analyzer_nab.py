"""Novelty by the Numenta Anomaly Benchmark's own procedure, at the threshold that ships and at NAB's own.

Usage: python benchmarks/analyzer_nab.py [--seed 1] [--random] [--data DIRECTORY]
Without data the series are generated (novelty_corpus.py). DIRECTORY holds `combined_windows.json` and
`data/<directory>/<series>.csv`, as `labels/combined_windows.json` and `data/` of github.com/numenta/NAB.

The scoring follows Lavin & Ahmad, "Evaluating real-time anomaly detection algorithms" (ICMLA 2015), standard profile:
probation of 15 % (750 points at most), a scaled sigmoid over each window, 0 for no alarm at all and 100 for a perfect
detector. NAB chooses the one threshold for all series that scores best on these very series; the threshold that ships
is the analyzer's for one series, and the one for a hundred series is beside it. `elsewhere` is a directory's score with
NAB's choice from the other directories alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from novelty_corpus import DAY, Labelled, make_corpus

from perfloop_analyzer.detectors.novelty import Clock, alarm_threshold, novelty_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHT_FALSE = 0.11
BAR_SHIPPED, BAR_ALARMS, BAR_SWEPT = 60.0, 0.06, 70.0
PUBLISHED = (
    "published, NAB's whole corpus: ARTime 74.9, HTM 70.1, contextOSE 69.9, KNN CAD 58.0, windowed Gaussian 39.6"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A series with its scores, what an alarm at each point earns, and its window: -1 none, -2 probation."""

    series: Labelled
    scores: np.ndarray
    earns: np.ndarray
    window: np.ndarray


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one threshold does on some series: NAB's points of 100, windows found, alarms and false ones a day."""

    points: float
    found: int
    windows: int
    alarms: float
    false: float

    def __str__(self) -> str:
        return f"{self.points:5.1f} {self.alarms:6.3f} {self.false:6.3f} {self.found:4d} of {self.windows:3d}"


def read(root: Path) -> list[Labelled]:
    """Read every series that has windows listed and a file."""
    table = json.loads((root / "combined_windows.json").read_text())
    return [_series(root / "data" / name, spans) for name, spans in table.items() if (root / "data" / name).exists()]


def _series(path: Path, windows: list[list[str]]) -> Labelled:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    times = [datetime.fromisoformat(row[0]) for row in rows]
    place = {moment: index for index, moment in reversed(list(enumerate(times)))}
    pairs = [(place[datetime.fromisoformat(a)], place[datetime.fromisoformat(b)]) for a, b in windows]
    step = float(np.median(np.diff([moment.timestamp() for moment in times])))
    return Labelled(path.parent.name, path.stem, np.array([float(row[1]) for row in rows]), step, pairs)


def judge(corpus: Sequence[Labelled]) -> list[Judged]:
    """Run the analyzer's detector over all series; those with the same clock together, NaN after the shorter ones."""
    groups: dict[Clock, list[int]] = {}
    for place, series in enumerate(corpus):
        groups.setdefault(_clock(series), []).append(place)
    scores: dict[int, np.ndarray] = {}
    for clock, places in groups.items():
        values = np.full((len(places), max(len(corpus[place].values) for place in places)), np.nan)
        for row, place in enumerate(places):
            values[row, : len(corpus[place].values)] = corpus[place].values
        for row, (place, scored) in enumerate(zip(places, novelty_scores(values, clock), strict=True)):
            scores[place] = scored[: len(corpus[places[row]].values)]
    return [Judged(series, scores[place], *weigh(series)) for place, series in enumerate(corpus)]


def _clock(series: Labelled) -> Clock:
    return Clock(max(2, round(3600 / series.step)), max(8, round(DAY / series.step)), series.probation)


def _sigmoid(position: np.ndarray) -> np.ndarray:
    return np.where(position > 3, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0)


def weigh(series: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Return what an alarm at each point earns, and the window it lies in (-1 none, -2 probation)."""
    at = np.arange(len(series.values))
    earns, window = np.full(len(at), -WEIGHT_FALSE), np.full(len(at), -1)
    for number, (begin, end) in enumerate(series.windows):
        width = end - begin + 1
        window[begin : end + 1] = number
        earns[begin : end + 1] = _sigmoid(-(end - at[begin : end + 1] + 1) / width) / _sigmoid(np.array(-1.0))
        earns[end + 1 :] = _sigmoid((at[end + 1 :] - end) / (width - 1)) * WEIGHT_FALSE
    window[: series.probation] = -2
    return earns, window


def sweep(judged: Sequence[Judged]) -> tuple[float, float]:
    """Lower the threshold over all series together; return the best score of 100 and its threshold, inf for none."""
    total = sum(len(one.series.windows) for one in judged)
    alarms = [
        (one.scores[at], number, one.window[at], one.earns[at])
        for number, one in enumerate(judged)
        for at in np.flatnonzero((one.window != -2) & (one.scores > 0))
    ]
    alarms.sort(key=lambda alarm: -alarm[0])
    held: dict[tuple[int, int], float] = {}
    best, threshold, raw = 0.0, np.inf, 0.0
    for index, (score, number, window, earned) in enumerate(alarms):
        if window >= 0:
            before = held.get((number, window))
            raw += 1.0 + earned if before is None else max(0.0, earned - before)
            held[number, window] = earned if before is None else max(before, earned)
        else:
            raw += earned
        if raw > best and (index + 1 == len(alarms) or alarms[index + 1][0] < score):
            best, threshold = raw, float(score)
    return 100.0 * best / (2.0 * max(total, 1)), threshold


def alarm(judged: Sequence[Judged], threshold: float) -> Outcome:
    """Return what a threshold does."""
    raw, found, alarms, false = 0.0, 0, 0, 0
    for one in judged:
        raised = (one.scores >= threshold) & (one.scores > 0) & (one.window != -2)
        outside = raised & (one.window == -1)
        alarms, false, raw = (
            alarms + int(raised.sum()),
            false + int(outside.sum()),
            raw + float(one.earns[outside].sum()),
        )
        earned = [one.earns[raised & (one.window == number)] for number in range(len(one.series.windows))]
        found += sum(1 for some in earned if some.size)
        raw += sum(1.0 + float(some.max()) for some in earned if some.size)
    windows = sum(len(one.series.windows) for one in judged)
    days = sum(one.series.judged_days for one in judged)
    return Outcome(50.0 * raw / max(windows, 1), found, windows, alarms / days, false / days)


def main() -> int:
    """Print what ships, then NAB's own figure, per directory; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("NAB_DATA"), help="NAB's data; also NAB_DATA")
    parser.add_argument("--seed", type=int, default=1, help="of the generated series")
    parser.add_argument("--random", action="store_true", help="take a random seed and print it")
    arguments = parser.parse_args()
    seed = int(np.random.default_rng().integers(10**6)) if arguments.random else arguments.seed
    corpus = read(Path(arguments.data)) if arguments.data else make_corpus(seed)
    judged, ships = judge(corpus), alarm_threshold(1)
    best, threshold = sweep(judged)
    print(f"{arguments.data or f'generated, seed {seed}'}: {len(corpus)} series")
    heads = (f"ships: {ships:.1f}", f"for 100 series: {alarm_threshold(100):.1f}", f"NAB's own: {threshold:.2f}")
    print(f"{'':22s} " + " | ".join(f"{head:>31s}" for head in heads))
    head = "points alarms/d false/d found"
    print(f"{'directory':22s} {head:>31s} | {head:>31s} | {head}  elsewhere")
    for directory in dict.fromkeys(one.directory for one in corpus):
        inside = [one for one in judged if one.series.directory == directory]
        elsewhere = alarm(inside, sweep([one for one in judged if one.series.directory != directory])[1])
        print(_row(directory, inside, threshold), f"{elsewhere.points:6.1f}")
    print(_row("all", judged, threshold))
    shipped = alarm(judged, ships)
    bars = {
        f"ships: points >= {BAR_SHIPPED:g}": shipped.points >= BAR_SHIPPED,
        f"ships: alarms a series-day <= {BAR_ALARMS:g}": shipped.alarms <= BAR_ALARMS,
        f"NAB's own threshold: points >= {BAR_SWEPT:g}": best >= BAR_SWEPT,
    }
    for bar, held in bars.items():
        print(f"{'ok    ' if held else 'MISSED'} {bar}")
    if arguments.data:
        print(PUBLISHED)
    figures = {"shipped": round(shipped.points, 2), "alarms_per_series_day": round(shipped.alarms, 4)}
    print(
        json.dumps({**figures, "nab_standard": round(best, 2), "series": len(corpus), "threshold": round(threshold, 3)})
    )
    return 0 if all(bars.values()) else 1


def _row(name: str, judged: Sequence[Judged], threshold: float) -> str:
    outcomes = [alarm(judged, at) for at in (alarm_threshold(1), alarm_threshold(100), threshold)]
    return f"{name:22s} " + " | ".join(f"{outcome!s:>31s}" for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
