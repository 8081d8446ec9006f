"""Traffic for the benchmark of forecasts: generated series whose rate is known, and files that others published."""

from __future__ import annotations

import csv
import gzip
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from analyzer_forecasts import wander

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from perfloop_analyzer.series import Floats

STEP = 300.0
DAY = 288
DAYS = 42
TRACE_STEP = 15.0
FEWEST = 30  # points that are a series
VALUES = {"value", "count", "requests", "rate", "y"}

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests per second, shape (points,), in steps of so many seconds; NaN where not known."""

    name: str
    step: float
    rates: Floats


def _wander(points: int, memory_points: float, rng: Rng) -> Floats:
    """Return noise that resembles itself within so many points, with a standard deviation of 1."""
    return wander(points, np.exp(-1 / memory_points), rng)


def _day(clock: Floats, rng: Rng) -> Floats:
    phase = 2 * np.pi * (clock / DAY + rng.random())
    return np.asarray(
        rng.uniform(0.4, 1.2) * np.sin(phase) + rng.uniform(0, 0.4) * np.sin(2 * phase + rng.uniform(0, 6))
    )


def _shop(clock: Floats, rng: Rng) -> Floats:
    return _day(clock, rng) + rng.uniform(0.03, 0.15) * _wander(len(clock), rng.uniform(6, 200), rng)


def _office(clock: Floats, rng: Rng) -> Floats:
    weekend = ((clock // DAY + rng.integers(7)) % 7) >= 5
    return _shop(clock, rng) - rng.uniform(0.3, 1.2) * weekend


def _growing(clock: Floats, rng: Rng) -> Floats:
    return _office(clock, rng) + rng.uniform(-0.6, 1.2) * clock / clock[-1]


def _shifts(clock: Floats, rng: Rng) -> Floats:
    level = np.zeros(len(clock))
    for at in rng.integers(0, len(clock), rng.integers(1, 5)):
        level[at:] += rng.normal(0, 0.5)
    return _shop(clock, rng) + level


def _bursts(clock: Floats, rng: Rng) -> Floats:
    made = _shop(clock, rng)
    for at in rng.integers(0, len(clock), rng.integers(5, 40)):
        length = int(rng.integers(2, 36))
        made[at : at + length] += rng.uniform(0.3, 2.0)
    return made


def _wandering(clock: Floats, rng: Rng) -> Floats:
    return rng.uniform(0.2, 0.6) * _wander(len(clock), rng.uniform(50, 2000), rng)


KINDS: dict[str, tuple[Callable[[Floats, Rng], Floats], tuple[float, float]]] = {
    "shop": (_shop, (5, 500)),
    "office": (_office, (5, 500)),
    "growing": (_growing, (5, 500)),
    "level shifts": (_shifts, (5, 500)),
    "bursts": (_bursts, (5, 500)),
    "no rhythm": (_wandering, (5, 500)),
    "little traffic": (_office, (0.005, 0.1)),
}


def generate(count: int, seed: int) -> Iterator[Traffic]:
    """Yield `count` series of each kind: Poisson counts of a known rate."""
    rng = np.random.default_rng(seed)
    clock = np.arange(DAYS * DAY, dtype=np.float64)
    for name, (shape, (least, most)) in KINDS.items():
        for number in range(count):
            rate = np.exp(rng.uniform(np.log(least), np.log(most)) + shape(clock, rng))
            yield Traffic(f"{name} {number + 1}", STEP, rng.poisson(rate * STEP) / STEP)


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files, and those of directories, that end in .csv or .csv.gz."""
    found = []
    for path in paths:
        found += sorted([*path.rglob("*.csv"), *path.rglob("*.csv.gz")]) if path.is_dir() else [path]
    return found


def read(path: Path, *, as_rates: bool = False, column: str = "") -> Traffic:
    """Read a file: a time and a value a line, or a time for each request of a trace.

    Args:
        path: CSV with a header, gzipped where its name ends in .gz. It has values where the column `column`, else one
            of VALUES, is there; else each line is a request.
        as_rates: Whether values are requests per second; else they are requests within a step.
        column: The name of the column with values.

    Raises:
        SystemExit: The file cannot be read as one, in one sentence.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            lines = csv.reader(file)
            header = [name.strip().lower() for name in next(lines)]
            wanted = {column.lower()} if column else VALUES
            place = next((at for at, name in enumerate(header) if name in wanted), None)
            if column and place is None:
                sys.exit(f"{path} has no column {column}; it has {', '.join(header)}")
            rows = [(_moment(line[0]), float(line[place]) if place is not None else 1.0) for line in lines if line]
    except (OSError, ValueError, IndexError, StopIteration, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"{path} is no CSV of times with values or requests: {error}")
    if len(rows) < FEWEST:
        sys.exit(f"{path} has {len(rows)} lines: {FEWEST} are the fewest")
    times, values = np.array(sorted(rows)).T
    if place is None:
        return Traffic(_name(path), TRACE_STEP, _counted(times, TRACE_STEP) / TRACE_STEP)
    step = float(np.median(np.diff(np.unique(times))))
    places = np.round((times - times[0]) / step).astype(np.int64)
    rates = np.full(places[-1] + 1, np.nan)
    rates[places] = values if as_rates else values / step
    return Traffic(_name(path), step, rates)


def _counted(times: Floats, step: float) -> Floats:
    """Return the requests of each whole step, without the first and the last, which are cut off."""
    places = (times // step).astype(np.int64)
    return np.bincount(places - places[0]).astype(np.float64)[1:-1]


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip()[:26])  # nanoseconds are more than Python reads
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv")


def coarsen(traffic: Traffic, step: float) -> Traffic:
    """Return the means over longer steps; a step with less than half of its values has none."""
    several = round(step / traffic.step)
    if several <= 1:
        return traffic
    rates = traffic.rates[len(traffic.rates) % several :].reshape(-1, several)
    known = np.isfinite(rates).sum(axis=1)
    means = np.nansum(rates, axis=1) / np.where(known >= several / 2, known, np.nan)
    return Traffic(traffic.name, several * traffic.step, means)
