"""The Numenta Anomaly Benchmark's standard profile with the service's own streaming detector, no look-ahead.

Usage: python benchmarks/analyzer_nab.py DIRECTORY   (or NAB_DATA=DIRECTORY)
DIRECTORY holds `combined_windows.json` and `data/<part>/<series>.csv`, as `labels/combined_windows.json` and `data/` of
github.com/numenta/NAB. The scoring follows Lavin & Ahmad, "Evaluating real-time anomaly detection algorithms"
(ICMLA 2015) and NAB's own sweeper: probation of 15 % (750 points at most), one threshold for all series, chosen as NAB
chooses it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from perfloop_analyzer.detectors.novelty import Clock, novelty_scores

PROBATION_SHARE, PROBATION_MOST = 0.15, 750
TRUE_POSITIVE, FALSE_POSITIVE = 1.0, 0.11
PUBLISHED = {"Numenta HTM": 73.4, "contextOSE": 71.5, "ARTime": 69.5, "KNN CAD": 60.7, "windowed Gaussian": 31.2}


@dataclass(frozen=True, slots=True)
class Labelled:
    """One series with its anomaly windows as index pairs."""

    name: str
    values: np.ndarray
    step: float
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """How many points a detector may watch before it is judged."""
        return int(min(PROBATION_SHARE * len(self.values), PROBATION_MOST))


def read(root: Path) -> list[Labelled]:
    """Read every series that has windows listed and a file."""
    table = json.loads((root / "combined_windows.json").read_text())
    return [
        _series(root / "data" / name, windows) for name, windows in table.items() if (root / "data" / name).exists()
    ]


def _series(path: Path, windows: list[list[str]]) -> Labelled:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    times = [datetime.fromisoformat(row[0]) for row in rows]
    place = {moment: index for index, moment in reversed(list(enumerate(times)))}
    pairs = [(place[datetime.fromisoformat(a)], place[datetime.fromisoformat(b)]) for a, b in windows]
    step = float(np.median(np.diff([moment.timestamp() for moment in times])))
    return Labelled(path.stem, np.array([float(row[1]) for row in rows]), step, pairs)


def detect(series: Labelled) -> np.ndarray:
    """Run the service's detector over one series."""
    hour = max(2, round(3600 / series.step))
    clock = Clock(hour=hour, day=max(8, round(86_400 / series.step)), probation=series.probation)
    return novelty_scores(series.values[None, :], clock)[0]


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3 else 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0


def weigh(series: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Return what a detection at each point earns, and the window it lies in (-1 none, -2 probation)."""
    count = len(series.values)
    earns, window = np.zeros(count), np.full(count, -1)
    waiting = list(enumerate(series.windows))
    last: tuple[int, int] | None = None
    for index in range(count):
        if waiting and waiting[0][1][0] <= index:
            number, (begin, end) = waiting[0]
            window[index] = number
            earns[index] = _sigmoid(-(end - index + 1) / (end - begin + 1)) * TRUE_POSITIVE / _sigmoid(-1.0)
            if index == end:
                last = (end, end - begin + 1)
                waiting.pop(0)
        elif last is None:
            earns[index] = -FALSE_POSITIVE
        else:
            earns[index] = _sigmoid((index - last[0]) / (last[1] - 1)) * FALSE_POSITIVE
    window[: series.probation] = -2
    return earns, window


def sweep(data: list[Labelled], scores: list[np.ndarray]) -> tuple[float, float]:
    """Lower the threshold over all series together; return the best score of 100 and its threshold."""
    total = sum(len(series.windows) for series in data)
    points = []
    for number, (series, score) in enumerate(zip(data, scores, strict=True)):
        earns, window = weigh(series)
        points += [(score[i], number, window[i], earns[i]) for i in np.flatnonzero((window != -2) & (score > 0))]
    points.sort(key=lambda point: -point[0])
    best, threshold, raw, held = -1e9, 0.0, 0.0, {}
    for index, (score, number, window, earned) in enumerate(points):
        if window >= 0:
            before = held.get((number, window))
            gain = 1.0 + earned if before is None else max(0.0, earned - before)
            held[number, window] = earned if before is None else max(before, earned)
        else:
            gain = earned
        raw += gain
        whole = index + 1 == len(points) or points[index + 1][0] < score
        if whole and raw > best:
            best, threshold = raw, float(score)
    return 100.0 * best / (2.0 * total), threshold


def main() -> None:
    """Print the score next to the published ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?", default=os.environ.get("NAB_DATA"))
    arguments = parser.parse_args()
    if not arguments.directory:
        print("skipped: give the directory of NAB's data, as an argument or NAB_DATA (github.com/numenta/NAB)")
        return
    data = read(Path(arguments.directory))
    score, threshold = sweep(data, [detect(series) for series in data])
    print(f"NAB standard profile over {len(data)} series: {score:.1f} (threshold {threshold:.2f})")
    for name, published in PUBLISHED.items():
        print(f"  published, realAWSCloudwatch: {name} {published}")
    print(json.dumps({"nab_standard": round(score, 2), "series": len(data), "threshold": round(threshold, 3)}))


if __name__ == "__main__":
    main()
