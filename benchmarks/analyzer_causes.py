"""Root causes over services: faults in a call graph, and of resources without one; BARO's RobustScorer beside.

Usage: python benchmarks/analyzer_causes.py [--cases 60] [--seed 1 | --random] [--data DIR]

Both sets are generated, and go through a whole cycle of the analyzer: signals, detectors, incidents, causes.

- calls: 41 services in a call graph, latency and availability each minute. A service gets slow or fails, and with it
  everything that waits for it; services that always move, load balancers in front of the real ones, a daily season and
  missing metrics are in the way. The method is given the symptom (the entry's metric) and the newest two minutes after
  the onset, but not when it began; BARO (L. Pham et al., FSE 2024) is given it.
- resources: 12 services, CPU, memory, latency, errors and load each second; ten minutes of normal work, then CPU,
  memory, disk, delay or loss in one service, 60 s of it. No call graph; the services in one order over all incidents.

--data DIR is the layout of the PetShop data (M. Hardt et al., CLeaR 2024): noissue/metrics.csv, graph.csv, and
{train,test}/issue_N/{metrics.csv,target.json} of 5 minutes. Exits 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.catalog import Signal
from perfloop_analyzer.incidents import Topology, rank_services
from perfloop_analyzer.pipeline import Knowledge, Settings, analyze
from perfloop_analyzer.pipeline.symptom import Symptom, explain_symptom
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.series import Batch, Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# The bars: the root is among the first three with the call graph; the first name is right without one.
MIN_CALLS_AC3, MIN_RESOURCES_AC1 = 0.5, 0.98
SERVICES, ENTRY = 41, "s00"
POINTS, AFTER = 240, 2
NORMAL_SECONDS, FAULT_SECONDS = 600, 60
PLACES = 12
LATENCY = Signal(name="latency", expr="latency", component="api", kind="red", unit="seconds")
AVAILABILITY = Signal(
    name="availability_of_calls", expr="a", component="api", kind="red", unit="ratio", direction="below"
)
CALLS = (LATENCY, AVAILABILITY)
RESOURCES = (
    Signal(name="cpu", expr="cpu", component="cpu", kind="use", unit="cores"),
    Signal(name="mem", expr="mem", component="memory", kind="use", unit="bytes"),
    LATENCY,
    Signal(name="error", expr="error", component="api", kind="red", unit="per_second"),
    Signal(name="load", expr="load", component="load", kind="red", unit="per_second", detect=()),
)


@dataclass(frozen=True)
class Case:
    """One fault: the series of a cycle, what shows the symptom, the truth, and the onset that BARO is given it."""

    batches: Mapping[str, Batch]
    symptom: Symptom
    root: str
    onset: int
    calls: Mapping[str, frozenset[str]]


def call_graph(rng: np.random.Generator) -> dict[str, frozenset[str]]:
    """Return a random call graph in layers: each service but the entry has one to three callers above it."""
    calls: dict[int, set[int]] = {one: set() for one in range(SERVICES)}
    for service in range(1, SERVICES):
        for _ in range(int(rng.integers(1, 3))):
            calls[int(rng.integers(max(0, service // 3 - 1), max(1, service // 2)))].add(service)
    return {f"s{one:02d}": frozenset(f"s{other:02d}" for other in called) for one, called in calls.items()}


def reaches(calls: Mapping[str, frozenset[str]], start: str) -> set[str]:
    """Return everything that a service calls, directly or not, and itself."""
    seen, waiting = set(), [start]
    while waiting:
        if (service := waiting.pop()) not in seen:
            seen.add(service)
            waiting += calls[service]
    return seen


def make_call_case(rng: np.random.Generator) -> Case:
    """Return a fault in a call graph: own time and own failures per service, carried from callee to caller."""
    calls = call_graph(rng)
    names = sorted(calls)
    own = {one: _own_time(rng) for one in names}
    failing = {one: np.where(rng.random(POINTS) < 0.1, rng.uniform(0, 0.004, POINTS), 0.0) for one in names}
    root = str(rng.choice(sorted(reaches(calls, ENTRY) - {ENTRY})))
    is_slow = bool(rng.random() < 0.5)
    size = rng.uniform(0.5, 1.0, AFTER)
    if is_slow:
        own[root][-AFTER:] += size * rng.uniform(1.0, 12.0) * np.median(own[root])
    else:
        failing[root][-AFTER:] += size * rng.uniform(0.02, 0.3)
    latency, available = {}, {}
    # A callee has a higher number than its callers: from the last to the first every callee is done.
    for name in reversed(names):
        latency[name] = own[name] + sum(
            (_share(rng) * latency[one] for one in sorted(calls[name])), np.zeros(POINTS)
        ) * (1.0 + 0.01 * rng.standard_normal(POINTS))
        lost = sum((_share(rng) * (1.0 - available[one]) for one in sorted(calls[name])), failing[name])
        available[name] = 1.0 - np.clip(lost, 0.0, 1.0)
    calls = _add_confounders(calls, latency, available, rng)
    batches = {
        signal.name: _batch(signal, values, 60.0, rng)
        for signal, values in ((LATENCY, latency), (AVAILABILITY, available))
    }
    symptom = Symptom(ENTRY, LATENCY.name if is_slow else AVAILABILITY.name)
    return Case(batches, symptom, root, POINTS - AFTER, calls)


def _own_time(rng: np.random.Generator) -> np.ndarray:
    level = float(np.exp(rng.uniform(np.log(0.002), np.log(0.05))))
    season = 0.1 * np.sin(2 * np.pi * (np.arange(POINTS) / 1440 + rng.random()))
    return level * (1.0 + season) * np.exp(rng.uniform(0.02, 0.1) * rng.standard_normal(POINTS))


def _share(rng: np.random.Generator) -> float:
    """Return how many calls a request makes to one callee, on average: and items of lists multiply."""
    return float(np.exp(rng.uniform(np.log(0.1), np.log(2.0))))


def _add_confounders(
    calls: Mapping[str, frozenset[str]],
    latency: dict[str, np.ndarray],
    available: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, frozenset[str]]:
    """Add services that always move, and load balancers that show what is behind them, which nobody knows of."""
    added = {one: set(called) for one, called in calls.items()}
    for count, called in enumerate(sorted(calls[ENTRY])[:3]):
        alias = f"balancer{count}"
        added[ENTRY].add(alias)
        latency[alias] = latency[called] * np.exp(0.15 * rng.standard_normal(POINTS)) + 0.003
        available[alias] = 1.0 - np.clip((1.0 - available[called]) * rng.uniform(0.5, 1.5, POINTS), 0.0, 1.0)
    for count in range(4):
        restless = f"restless{count}"
        added[str(rng.choice(sorted(calls)))].add(restless)
        latency[restless] = 0.1 * np.exp(rng.standard_t(2, POINTS))
        available[restless] = rng.beta(0.5, 0.5, POINTS)
    return {one: frozenset(called) for one, called in added.items()}


def _batch(signal: Signal, values: Mapping[str, np.ndarray], step: float, rng: np.random.Generator) -> Batch:
    names = sorted(one for one in values if one == ENTRY or rng.random() > 0.05)
    rows = np.array([values[one] for one in names])
    rows[rng.random(rows.shape) < 0.01] = np.nan
    return Batch(signal.name, Grid(1e9, step, rows.shape[1]), tuple({"service": one} for one in names), rows)


def make_resource_case(rng: np.random.Generator) -> Case:
    """Return a fault of one service's resources; the services that wait for it follow, the more weakly the farther."""
    root, kind = int(rng.integers(PLACES)), str(rng.choice(("cpu", "mem", "disk", "delay", "loss")))
    points = NORMAL_SECONDS + FAULT_SECONDS
    load = np.maximum(50 + 10 * np.cumsum(0.05 * rng.standard_normal((PLACES, points)), axis=1), 5.0)
    values = {
        "cpu": 0.004 * load * np.exp(0.1 * rng.standard_normal((PLACES, points))) + 0.02,
        "mem": 2e8 * (1 + rng.random((PLACES, 1))) + 2e5 * np.cumsum(rng.standard_normal((PLACES, points)), axis=1),
        "latency": np.exp(rng.uniform(-4, -2, (PLACES, 1)) + 0.15 * rng.standard_normal((PLACES, points))),
        "error": rng.poisson(0.02, (PLACES, points)).astype(float),
        "load": load,
    }
    fault = slice(NORMAL_SECONDS, points)
    ramp = np.minimum(1.0, np.arange(1, FAULT_SECONDS + 1) / 5.0)
    slow = {"cpu": 1.5, "mem": 0.5, "disk": 2.5, "delay": 8.0, "loss": 5.0}[kind] * rng.uniform(0.7, 1.3)
    values["latency"][root, fault] *= 1.0 + slow * ramp
    if kind == "cpu":
        values["cpu"][root, fault] += rng.uniform(0.6, 1.0) * ramp
    if kind == "mem":
        values["mem"][root, fault] += rng.uniform(2e8, 6e8) * ramp
    if kind == "disk":
        values["cpu"][root, fault] += rng.uniform(0.2, 0.4) * ramp
    if kind == "loss":
        values["error"][root, fault] += rng.poisson(3.0, FAULT_SECONDS)
    for caller in rng.choice([one for one in range(PLACES) if one != root], 2, replace=False):
        values["latency"][caller, fault] *= 1.0 + rng.uniform(0.1, 0.7) * slow * ramp
    grid = Grid(1e9, 1.0, points)
    labels = tuple({"service": f"place{one}"} for one in range(PLACES))
    batches = {name: Batch(name, grid, labels, rows) for name, rows in values.items()}
    return Case(batches, Symptom(f"place{root}", "latency"), f"place{root}", NORMAL_SECONDS, {})


def by_symptom(case: Case, catalog: Sequence[Signal], *, with_calls: bool) -> list[str]:
    """Return the services in the order of the analyzer's causes of the symptom."""
    topology = Topology(case.calls if with_calls else {})
    result = _analyze(case, catalog, topology)
    return distinct(
        cause.service for cause in explain_symptom(case.symptom, case.batches, catalog, topology, result.findings)
    )


def by_incidents(case: Case, catalog: Sequence[Signal]) -> list[str]:
    """Return the services in the order over all incidents of the cycle."""
    return [service for service, _ in rank_services(_analyze(case, catalog, Topology()).incidents)]


def _analyze(case: Case, catalog: Sequence[Signal], topology: Topology):  # noqa: ANN202 - a Result
    end = next(iter(case.batches.values())).grid.end
    knowledge = Knowledge(catalog, (), topology=topology, settings=Settings(level=1e-4))
    return analyze(Responses(case.batches, {}), knowledge, end)


def baro(case: Case) -> list[str]:
    """Return the services by BARO's RobustScorer: max of (post - median) / IQR over a service's series, split known."""
    scores: dict[str, float] = {}
    for batch in case.batches.values():
        for labels, row in zip(batch.labels, _filled(batch.values), strict=True):
            before, after = row[: case.onset], row[case.onset :]
            if np.ptp(before) == 0 or np.ptp(after) == 0:
                continue  # its published preprocessing drops what is constant in either half
            low, middle, high = np.percentile(before, [25, 50, 75])
            score = float(np.max((after - middle) / ((high - low) or 1.0)))
            scores[labels["service"]] = max(scores.get(labels["service"], -np.inf), score)
    return sorted(scores, key=lambda one: -scores[one])


def _filled(values: np.ndarray) -> np.ndarray:
    """Return the rows with gaps filled forward, then by the first value, as BARO's preprocessing does; 0 if empty."""
    rows = values.copy()
    for row in rows:
        there = np.flatnonzero(np.isfinite(row))
        if there.size:
            row[:] = row[there[np.maximum(np.searchsorted(there, np.arange(len(row)), side="right") - 1, 0)]]
        else:
            row[:] = 0.0
    return rows


def distinct(services: Iterable[str]) -> list[str]:
    """Return the services without repetition, in their order."""
    return list(dict.fromkeys(services))


def accuracy(cases: Sequence[Case], rank: Callable[[Case], list[str]]) -> tuple[float, float]:
    """Return AC@1 and AC@3: how often the root is the first service, and among the first three."""
    ranked = [(rank(case), case.root) for case in cases]
    return float(np.mean([root in names[:1] for names, root in ranked])), float(
        np.mean([root in names[:3] for names, root in ranked])
    )


def show(what: str, cases: Sequence[Case], rank: Callable[[Case], list[str]], bar: str = "") -> tuple[float, float]:
    """Print one line of the table and return its figures."""
    first, third = accuracy(cases, rank)
    print(f"{what:44s} {len(cases):4d} cases  AC@1 {first:.2f}  AC@3 {third:.2f}  {bar}", flush=True)
    return first, third


def read_petshop(directory: Path, part: str) -> Iterator[Case]:
    """Yield the issues of one part: the normal run's end, then the issue's points until AFTER after the onset."""
    normal, _ = _read_metrics(directory / "noissue" / "metrics.csv")
    rows = list(csv.reader((directory / "graph.csv").open()))
    calls = {
        row[0]: frozenset(name for name, cell in zip(rows[0][1:], row[1:], strict=True) if float(cell))
        for row in rows[1:]
    }
    for place in sorted((directory / part).iterdir()):
        target = json.loads((place / "target.json").read_text())
        issue, times = _read_metrics(place / "metrics.csv")
        onset = int((times < target["target"]["timestamp"]).sum())
        shown, length = onset + AFTER, POINTS - AFTER - onset
        series = {
            key: np.concatenate(
                [
                    normal.get(key, np.full(length, np.nan))[-length:],
                    issue.get(key, np.full(len(times), np.nan))[:shown],
                ]
            )
            for key in normal.keys() | issue.keys()
        }
        symptom = Symptom(target["target"]["node"], _petshop_name(target["target"]["metric"], target["target"]["agg"]))
        yield Case(_petshop_batches(series), symptom, target["root_cause"]["node"], length + onset, calls)


def _read_metrics(path: Path) -> tuple[dict[tuple[str, ...], np.ndarray], np.ndarray]:
    rows = [row for row in csv.reader(path.open()) if row]
    body = [row for row in rows[3:] if row[0] not in ("", "unix_timestamp")]
    values = np.array([[float(cell) if cell else np.nan for cell in row] for row in body])
    keys = list(zip(*(row[1:] for row in rows[:3]), strict=True))
    return {key: values[:, place + 1] for place, key in enumerate(keys)}, values[:, 0]


def _petshop_name(metric: str, statistic: str) -> str:
    return f"{metric}_{statistic}".lower()


def _petshop_batches(series: Mapping[tuple[str, ...], np.ndarray]) -> dict[str, Batch]:
    tables: dict[str, dict[str, np.ndarray]] = {}
    for (service, metric, statistic), values in series.items():
        scaled = values / 100.0 if metric == "availability" else values
        tables.setdefault(_petshop_name(metric, statistic), {})[service] = scaled
    return {
        name: Batch(
            name,
            Grid(1e9, 300.0, POINTS),
            tuple({"service": one} for one in sorted(table)),
            np.array([table[one] for one in sorted(table)]),
        )
        for name, table in tables.items()
    }


def petshop_catalog(batches: Iterable[str]) -> tuple[Signal, ...]:
    """Return a catalogue of PetShop's metrics, as a user would write one."""
    kinds = {
        "latency": {"unit": "seconds"},
        "availability": {"unit": "ratio", "direction": "below"},
        "requests": {"unit": "per_second", "detect": ()},
    }
    return tuple(
        Signal(name=name, expr=name, component="api", kind="red", **kinds[name.split("_")[0]])  # type: ignore[arg-type]
        for name in sorted(batches)
    )


def measure_data(directory: Path) -> bool:
    """Print PetShop's figures; return whether the bar holds in every part."""
    holds = True
    for part in ("train", "test"):
        if not (directory / part).is_dir():
            continue
        cases = list(read_petshop(directory, part))
        catalog = petshop_catalog(cases[0].batches)
        bar = f"bar AC@3 {MIN_CALLS_AC3}"
        _, third = show(f"{part}: with the graph", cases, lambda c: by_symptom(c, catalog, with_calls=True), bar)  # noqa: B023 - used at once
        show(f"{part}: without the graph", cases, lambda c: by_symptom(c, catalog, with_calls=False))  # noqa: B023 - used at once
        show(f"{part}: BARO, given the onset", cases, baro)
        holds &= third >= MIN_CALLS_AC3
    return holds


def measure_generated(cases: int, seed: int) -> bool:
    """Print the figures of the generated sets; return whether the bars hold."""
    rng = np.random.default_rng(seed)
    calls = [make_call_case(rng) for _ in range(cases)]
    # Enough for a bar of 98 %.
    places = [make_resource_case(rng) for _ in range(4 * cases)]
    bar = f"bar AC@3 {MIN_CALLS_AC3}"
    _, third = show("calls: with the graph", calls, lambda case: by_symptom(case, CALLS, with_calls=True), bar)
    show("calls: without the graph", calls, lambda case: by_symptom(case, CALLS, with_calls=False))
    show("calls: BARO, given the onset", calls, baro)
    bar = f"bar AC@1 {MIN_RESOURCES_AC1}"
    first, _ = show("resources: 60 s after", places, lambda case: by_incidents(case, RESOURCES), bar)
    show("resources: BARO, given the onset", places, baro)
    return third >= MIN_CALLS_AC3 and first >= MIN_RESOURCES_AC1


def main() -> int:
    """Print the table; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="another seed each time")
    parser.add_argument("--data", type=Path, help="a scenario in PetShop's layout, in place of generated data")
    arguments = parser.parse_args()
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if arguments.random else arguments.seed
    print(f"seed {seed}" if arguments.data is None else str(arguments.data))
    holds = measure_data(arguments.data) if arguments.data else measure_generated(arguments.cases, seed)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
