"""Quiet days: what an analyzer reports of pods on which nothing happens, and which faults it finds beside them.

Usage: python benchmarks/analyzer_quiet_days.py [--seed N | --random] [--hours 24] [--data DIR]

Everything is the analyzer: each minute a cycle on the newest 240 points, every five minutes the reading of up to seven
days of history in steps of ten minutes, all detectors, their memory of the cycle before. A false finding is an episode:
a series is reported that no detector had reported for two minutes, as in the analyzer's own memory. It is counted for
the detector that began it. An incident counts once, by its id. Generated pods have two days of past.
A fault is found when a finding about its target begins from its start until four minutes after its end. Node faults
come back to the same three nodes again and again: they are what a memory of recurrent excursions must not learn away.

The generated pods are quiet (noise of a tenth to a half of the level), spiky (a minute of up to thirty times the level
every day or two), bursty (bursts in a quarter of the minutes of some hours), bimodal, heavy-tailed, seasonal,
sawtooth or still. A node's CPU rises every fifth minute, memory wanders by a few percent a day. Faults take 1.6 to 2
times the usual memory, or 3 to 60 times the usual CPU, as those of the public Sock Shop recordings do.

`--data` reads recordings instead: `quiet*.csv.gz` with a column `time` and one column `TARGET|SIGNAL` per series on a
regular grid, and `container_faults.csv.gz` and `node_faults.csv.gz` with `*_labels.csv` (start, seconds, fault, target)
beside them; of the pods' faults those of CPU and memory count. The peer is the moving z-score, three points beyond
three standard deviations of the same window.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perfloop_analyzer.catalog import Signal
from perfloop_analyzer.detectors.multiple import cycle_level
from perfloop_analyzer.incidents.continuity import SAME_SECONDS
from perfloop_analyzer.pipeline import Knowledge, NoveltyWatch, analyze, learn
from perfloop_analyzer.pipeline.detect import Settings
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.series import Batch, Floats, Grid

STEP, POINTS, WINDOW = 60.0, 240, "4m"
LONG_STEP, LONG_POINTS, LONG_EVERY = 600.0, 1008, 5  # the history: a week, read every five cycles
WARM_UP = 24  # points before the first fault is looked for
LATE_SECONDS = 240.0
START = 1_700_006_400.0  # midnight UTC
FALSE_A_DAY, POD_SHARE, NODE_SHARE = 2.0, 44 / 57, 24 / 27  # the bars
PAST = 2880  # points of the generated pods before the first cycle
FAULT_POINTS, FAULT_EVERY, FIRST_FAULT = 5, 30, 45  # points
KINDS = ("quiet", "spiky", "bursty", "bimodal", "heavy tail", "seasonal", "sawtooth", "still")
CPU_FAULT = (3.0, 60.0)  # times the usual use
COUNTED = ("cpu-stress", "memory-stress")


@dataclass(frozen=True)
class Recording:
    """Series named `TARGET|SIGNAL` on a grid from `start` on, shape (series, points); NaN is a gap."""

    start: float
    step: float
    names: tuple[str, ...]
    values: Floats


@dataclass(frozen=True)
class Fault:
    """What was done to a target, from when to when in Unix seconds."""

    kind: str
    target: str
    start: float
    end: float


@dataclass(frozen=True)
class Begun:
    """A finding in the cycle in which a detector began to report it."""

    at: float
    detector: str
    signal: str
    target: str


class Replay:
    """A recording as what the analyzer's queries would have returned at a moment."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._rows: dict[str, list[int]] = {}
        for row, name in enumerate(recording.names):
            self._rows.setdefault(name.partition("|")[2], []).append(row)
        self.catalog = [
            Signal(name=name, expr=name, component=name.split("_")[0], kind="use", detect=DETECTORS)
            for name in self._rows
        ]

    def batches(self, grid: Grid) -> dict[str, Batch]:
        """Return every signal's series that have a value on the grid."""
        recording = self._recording
        place = np.round((grid.times() - recording.start) / recording.step).astype(np.int64)
        there = (place >= 0) & (place < recording.values.shape[1])
        found = {}
        for signal, rows in self._rows.items():
            values = np.full((len(rows), grid.points), np.nan)
            values[:, there] = recording.values[np.ix_(rows, place[there])]
            known = np.isfinite(values).any(axis=1)
            targets = [recording.names[row].partition("|")[0] for row in rows]
            labels = tuple({"service": target} for target, is_known in zip(targets, known, strict=True) if is_known)
            found[signal] = Batch(signal, grid, labels, values[known])
        return found


DETECTORS = ("threshold", "anomaly", "change", "trend")


def watch(recording: Recording, first: int = 0) -> tuple[list[Begun], int]:
    """Run a cycle at every point from `first` on; return the findings as they began, and the number of incidents."""
    replay, novelty = Replay(recording), NoveltyWatch()
    knowledge = Knowledge(replay.catalog, (), settings=Settings(WINDOW, cycle_level(recording.step)))
    table = knowledge.by_name()
    begun: list[Begun] = []
    incidents: set[str] = set()
    known: dict[tuple[str, str], float] = {}
    for number in range(first, recording.values.shape[1]):
        at = recording.start + number * recording.step
        settings = knowledge.settings
        if (number - first) % LONG_EVERY == 0:
            end = at - at % LONG_STEP
            days = replay.batches(Grid(end - LONG_STEP * (LONG_POINTS - 1), LONG_STEP, LONG_POINTS))
            learned = learn(days, table, WINDOW, cycle_level(LONG_EVERY * recording.step))
            new = novelty.watch(days, table, WINDOW)
            settings = replace(settings, history=replace(learned, findings=(*learned.findings, *new)))
        window = replay.batches(Grid(at - recording.step * (POINTS - 1), recording.step, POINTS))
        result = analyze(Responses(window, {}), replace(knowledge, settings=settings), at)
        knowledge = replace(knowledge, settings=replace(settings, memory=result.memory))
        for found in result.findings:
            series_name = (found.signal, found.service)
            if at - known.get(series_name, -np.inf) > SAME_SECONDS:
                begun.append(Begun(at, found.detector, *series_name))
            known[series_name] = at
        incidents |= {incident.id for incident in result.incidents}
    return begun, len(incidents)


def watch_z_score(recording: Recording, first: int = 0) -> list[Begun]:
    """Return what the peer reports: three points beyond three standard deviations of the window before them."""
    begun: list[Begun] = []
    known = np.zeros(len(recording.names), dtype=np.bool_)
    for number in range(max(first, WARM_UP), recording.values.shape[1]):
        before = recording.values[:, max(0, number - POINTS + 1) : number - 2]
        there = np.isfinite(before).sum(axis=1) >= WARM_UP // 2
        filled = np.where(there[:, None], before, 0.0)
        edge = np.nanmean(filled, axis=1) + 3.0 * np.nanstd(filled, axis=1)
        beyond = there & (recording.values[:, number - 2 : number + 1] > edge[:, None]).all(axis=1)
        at = recording.start + number * recording.step
        for row in np.flatnonzero(beyond & ~known):
            target, _, signal = recording.names[row].partition("|")
            begun.append(Begun(at, "z_score", signal, target))
        known = beyond
    return begun


def found_of(faults: list[Fault], begun: list[Begun]) -> int:
    """Return how many faults were found."""
    return sum(
        any(one.target == fault.target and fault.start <= one.at <= fault.end + LATE_SECONDS for one in begun)
        for fault in faults
    )


def bursty(calm: Floats, rng: np.random.Generator) -> Floats:
    """Return a calm series with bursts of a minute or two, in hours that have them."""
    points = len(calm)
    phase = np.repeat(rng.random(-(-points // 60)) < 0.5, 60)[:points]
    starts = rng.random(points) < 0.2
    lasting = starts | (np.roll(starts, 1) & (rng.random(points) < 0.5))
    return np.where(phase & lasting, rng.uniform(3, 8) * rng.lognormal(0, 0.3, points), calm)


def series(kind: str, points: int, rng: np.random.Generator) -> Floats:
    """Return one series of a kind around 1, a point a minute."""
    noise, clock = rng.standard_normal(points), np.arange(points)
    calm = 1.0 + rng.uniform(0.1, 0.2) * noise
    makers = {
        "quiet": lambda: np.fmax(1.0 + rng.uniform(0.1, 0.5) * noise, 0.0),
        "spiky": lambda: np.where(rng.random(points) < 1 / 2000, rng.uniform(3, 30, points), calm),
        "bursty": lambda: bursty(calm, rng),
        "bimodal": lambda: np.where(np.cumsum(rng.random(points) < 1 / 15) % 2 > 0, 2.0, 1.0) * calm,
        "heavy tail": lambda: 1.0 + 0.08 * np.abs(rng.standard_t(3, points)),
        "seasonal": lambda: calm + 0.5 * np.sin(2 * np.pi * (clock / 1440 + rng.random())),
        "sawtooth": lambda: 1.0 + 0.01 * noise + (clock % rng.integers(20, 60)) / 100,
        "still": lambda: np.zeros(points),
        "memory": lambda: 1.0 + 0.03 * np.cumsum(noise) / np.sqrt(1440),
        "polled": lambda: 1.0 + 0.05 * noise + rng.uniform(0.2, 0.5) * (clock % 5 == 0),
    }
    return makers[kind]()


def generate(points: int, rng: np.random.Generator, pods: int = 17, nodes: int = 3) -> Recording:
    """Return pods with five series each and nodes with two; all but memory and the nodes have a kind in turn."""
    signals = ("cpu_cores_used", "memory_bytes", "net_receive", "net_transmit", "fs_writes")
    names = [f"pod{pod}|{signal}" for pod in range(pods) for signal in signals]
    names += [f"vm{node}|{signal}" for node in range(nodes) for signal in ("node_cpu", "node_memory")]
    rows = []
    for number, name in enumerate(names):
        kind = "memory" if "memory" in name else "polled" if name.startswith("vm") else KINDS[number % len(KINDS)]
        rows.append(10.0 ** rng.uniform(0, 6) * series(kind, points, rng))
    return Recording(START, STEP, tuple(names), np.array(rows))


def inject(quiet: Recording, targets: str, rng: np.random.Generator) -> tuple[Recording, list[Fault]]:
    """Return the recording with a fault of CPU or memory every half hour on a random target of a kind (pod, vm)."""
    values = quiet.values.copy()
    rows = [
        row
        for row, name in enumerate(quiet.names)
        if name.startswith(targets) and ("cpu" in name or "memory" in name) and quiet.values[row].any()
    ]
    faults = []
    for first in range(FIRST_FAULT, values.shape[1] - FAULT_POINTS, FAULT_EVERY):
        row = int(rng.choice(rows))
        target, _, signal = quiet.names[row].partition("|")
        usual = np.median(values[row])
        height = rng.uniform(1.6, 2.0) if "memory" in signal else 10.0 ** rng.uniform(*np.log10(CPU_FAULT))
        lifted = usual * height * (1.0 + 0.01 * rng.standard_normal(FAULT_POINTS))
        values[row, first : first + FAULT_POINTS] = np.maximum(values[row, first : first + FAULT_POINTS], lifted)
        start = quiet.start + first * quiet.step
        kind = "cpu-stress" if "cpu" in signal else "memory-stress"
        faults.append(Fault(kind, target, start, start + FAULT_POINTS * quiet.step))
    return replace(quiet, values=values), faults


def read_recording(path: Path) -> Recording:
    """Return the recording of a compressed CSV file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    table = np.array([[float(cell) if cell else np.nan for cell in line] for line in lines])
    step = float(np.median(np.diff(table[:, 0])))
    return Recording(float(table[0, 0]), step, tuple(header[1:]), table[:, 1:].T)


def read_faults(path: Path) -> list[Fault]:
    """Return the faults of CPU and memory of a file of labels."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Fault(line["fault"], line["target"], float(line["start"]), float(line["start"]) + float(line["seconds"]))
            for line in csv.DictReader(file)
            if line["fault"] in COUNTED
        ]


def measure_quiet(name: str, recording: Recording, first: int = 0) -> dict[str, object]:
    """Print and return the false findings a day of one recording from the point `first` on, by detector."""
    begun, incidents = watch(recording, first)
    days = (recording.values.shape[1] - first) * recording.step / 86_400
    peer = len(watch_z_score(recording, first))
    kinds = dict(Counter(one.detector for one in begun))
    print(
        f"{name:18} {len(begun) / days:5.1f} false findings a day (bar {FALSE_A_DAY:g}, z-score {peer / days:.1f}), "
        f"{incidents / days:.1f} incidents a day, {days:.2f} days, {len(recording.names)} series, {kinds}",
        flush=True,
    )
    for one in begun:
        print(f"    {(one.at - recording.start) / 3600:5.2f} h {one.detector} {one.signal} {one.target}")
    return {"false_a_day": len(begun) / days, "incidents_a_day": incidents / days, "kinds": kinds, "days": days}


def measure_faults(name: str, recording: Recording, faults: list[Fault], bar: float) -> dict[str, object]:
    """Print and return how many faults of one recording were found."""
    begun, _ = watch(recording, WARM_UP)
    found, peer = found_of(faults, begun), found_of(faults, watch_z_score(recording, WARM_UP))
    print(f"{name:18} {found} of {len(faults)} faults found (bar {bar:.0%}, z-score {peer})", flush=True)
    return {"found": found, "faults": len(faults), "bar": bar}


def measure_directory(directory: Path) -> list[dict[str, object]]:
    """Measure every recording of a directory."""
    report = [measure_quiet(path.name.split(".")[0], read_recording(path)) for path in sorted(directory.glob("quiet*"))]
    for name, bar in (("container_faults", POD_SHARE), ("node_faults", NODE_SHARE)):
        path = directory / f"{name}.csv.gz"
        if path.exists():
            faults = read_faults(directory / f"{name}_labels.csv")
            report.append(measure_faults(name, read_recording(path), faults, bar))
    return report


def measure_generated(seed: int, hours: float) -> list[dict[str, object]]:
    """Measure generated pods."""
    rng = np.random.default_rng(seed)
    report = [measure_quiet("generated, quiet", generate(PAST + round(hours * 60), rng), PAST)]
    for targets, bar in (("pod", POD_SHARE), ("vm", NODE_SHARE)):
        recording, faults = inject(generate(FIRST_FAULT + 27 * FAULT_EVERY, rng), targets, rng)
        report.append(measure_faults(f"generated, {targets}", recording, faults, bar))
    return report


def is_missed(figures: dict[str, object]) -> bool:
    """Return whether a figure misses its bar."""
    if "false_a_day" in figures:
        return float(str(figures["false_a_day"])) > FALSE_A_DAY
    return int(str(figures["found"])) < float(str(figures["bar"])) * int(str(figures["faults"])) - 1e-9


def main() -> int:
    """Print the figures beside their bars; return 1 if one is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="a seed of its own, which is printed")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    seed = secrets.randbelow(10**6) if arguments.random else arguments.seed
    started = time.perf_counter()
    if arguments.data:
        report = measure_directory(arguments.data)
    else:
        print(f"seed {seed}")
        report = measure_generated(seed, arguments.hours)
    print(f"{time.perf_counter() - started:.0f} s")
    print(json.dumps(report))
    return 1 if any(is_missed(figures) for figures in report) else 0


if __name__ == "__main__":
    sys.exit(main())
