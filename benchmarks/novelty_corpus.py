"""Generated series with labelled anomalies, of the kinds that operators watch, for `analyzer_nab.py`.

The kinds are those of the Numenta Anomaly Benchmark (Lavin & Ahmad, ICMLA 2015): artificial daily curves, traffic
sensors, and failures of known cause. Nothing is taken from its files. As there, the windows of a series hold a tenth
of its points together, and each is centred on where its anomaly begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PROBATION_SHARE, PROBATION_MOST = 0.15, 750  # NAB: the points that a detector may watch before it is judged
MINUTES_5, MINUTES_10, MINUTES_30, HOUR = 300.0, 600.0, 1800.0, 3600.0
DAY = 86_400.0

Made = tuple[np.ndarray, float, Sequence[int]]  # values, step in seconds, where the anomalies begin
Maker = Callable[[np.random.Generator], Made]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One series with its anomaly windows as pairs of indices, both inclusive; `step` is in seconds."""

    directory: str
    name: str
    values: np.ndarray
    step: float
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """How many points a detector may watch before it is judged."""
        return int(min(PROBATION_SHARE * len(self.values), PROBATION_MOST))

    @property
    def judged_days(self) -> float:
        """How many days the series has after its probation."""
        return (len(self.values) - self.probation) * self.step / DAY


def _clock(days: float, step: float) -> np.ndarray:
    """Return the days since the beginning, point by point."""
    return np.arange(int(days * DAY / step)) * step / DAY


def _daytime(clock: np.ndarray, begin: float = 9.0, end: float = 18.0) -> np.ndarray:
    hour = clock % 1.0 * 24.0
    return (hour >= begin) & (hour < end)


def _wander(count: int, rng: np.random.Generator, memory: float) -> np.ndarray:
    """Return an autoregressive series of standard deviation 1 that forgets within `memory` points."""
    keep = np.exp(-1.0 / memory)
    noise = rng.standard_normal(count) * np.sqrt(1.0 - keep**2)
    out = np.empty(count)
    level = rng.standard_normal()
    for index, push in enumerate(noise):
        level = keep * level + push
        out[index] = level
    return out


def _bursts(count: int, rng: np.random.Generator, every: float, length: float) -> np.ndarray:
    """Return 0 and, in bursts of about `length` points that begin every `every` points, heights around 1."""
    out = np.zeros(count)
    for begin in np.flatnonzero(rng.random(count) < 1.0 / every):
        out[begin : begin + 1 + rng.poisson(length)] = rng.gamma(4.0, 0.25)
    return out


def _square(height: float, noise: float, low: float = 20.0, high: float = 80.0) -> Maker:
    """Two weeks of low nights and high days, one of which is `height` times as high above the night as the others."""

    def make(rng: np.random.Generator) -> Made:
        clock = _clock(14.0, MINUTES_5)
        odd = int(rng.integers(8, 13))
        day = _daytime(clock)
        values = np.where(day, high, low) + noise * rng.uniform(-1.0, 1.0, len(clock))
        wrong = day & (clock.astype(int) == odd)
        values[wrong] += (height - 1.0) * (high - low)
        return values, MINUTES_5, [int(np.argmax(wrong))]

    return make


def _flat_middle(rng: np.random.Generator) -> Made:
    clock = _clock(14.0, MINUTES_5)
    curve = 20.0 + 60.0 * np.maximum(0.0, np.sin(np.pi * (clock % 1.0 * 24.0 - 7.0) / 13.0)) * _daytime(
        clock, 7.0, 20.0
    )
    odd = int(rng.integers(8, 13))
    wrong = _daytime(clock, 10.0, 17.0) & (clock.astype(int) == odd)
    curve[wrong] = 45.0
    return curve + rng.uniform(-3.0, 3.0, len(clock)), MINUTES_5, [int(np.argmax(wrong))]


def _denser_spikes(rng: np.random.Generator) -> Made:
    clock = _clock(14.0, MINUTES_5)
    begin = int(rng.uniform(0.6, 0.85) * len(clock))
    spikes = rng.random(len(clock)) < np.where((clock >= clock[begin]) & (clock < clock[begin] + 1.0), 0.15, 0.015)
    return np.where(spikes, 20.0, 0.0), MINUTES_5, [begin]


def _higher_spikes(rng: np.random.Generator) -> Made:
    clock = _clock(14.0, MINUTES_5)
    values = 0.1 * rng.random(len(clock)) + 0.8 * _bursts(len(clock), rng, 60.0, 1.0)
    begin = int(rng.uniform(0.6, 0.85) * len(clock))
    values[begin : begin + 30 : 3] = rng.uniform(2.5, 4.0, 10)
    return values, MINUTES_5, [begin]


def _noisier(rng: np.random.Generator) -> Made:
    clock = _clock(14.0, MINUTES_5)
    begin = int(rng.uniform(0.6, 0.85) * len(clock))
    scale = np.where((clock >= clock[begin]) & (clock < clock[begin] + 1.0), 4.0, 1.0)
    return 50.0 + 10.0 * np.sin(2 * np.pi * clock) + scale * rng.standard_normal(len(clock)), MINUTES_5, [begin]


def _flat_line(_: np.random.Generator) -> Made:
    return np.full(4032, 45.0), MINUTES_5, []


def _plain_noise(rng: np.random.Generator) -> Made:
    return rng.uniform(18.0, 22.0, 4032), MINUTES_5, []


def _same_days(noise: float, *, smooth: bool) -> Maker:
    def make(rng: np.random.Generator) -> Made:
        clock = _clock(14.0, MINUTES_5)
        day = np.maximum(0.0, np.sin(2 * np.pi * (clock - 0.3))) if smooth else _daytime(clock)
        return 20.0 + 60.0 * day + noise * rng.uniform(-1.0, 1.0, len(clock)), MINUTES_5, []

    return make


def _rush(clock: np.ndarray) -> np.ndarray:
    """Return how full a road is, 0 to 1: two rush hours on five days of the week."""
    hour = clock % 1.0 * 24.0
    peaks = np.exp(-(((hour - 8.0) / 1.2) ** 2)) + np.exp(-(((hour - 17.5) / 1.5) ** 2))
    return peaks * np.where(clock.astype(int) % 7 < 5, 1.0, 0.25)


def _jams(clock: np.ndarray, rng: np.random.Generator, count: int) -> tuple[np.ndarray, list[int]]:
    """Return jams outside the rush hours, 0 to 1, and where they begin."""
    out, begins = np.zeros(len(clock)), []
    for part in range(count):
        share = 0.3 + 0.6 * (part + rng.uniform(0.1, 0.9)) / count
        begin = int(np.argmax(clock >= int(share * clock[-1]) + rng.uniform(11.0, 15.0) / 24.0))
        length = int(rng.integers(8, 30))
        out[begin : begin + length] = rng.uniform(0.8, 1.0)
        begins.append(begin)
    return out, sorted(begins)


def _speed(rng: np.random.Generator) -> Made:
    clock = _clock(9.0, MINUTES_5)
    jam, begins = _jams(clock, rng, int(rng.integers(1, 4)))
    slow = 15.0 * _rush(clock) * rng.uniform(0.6, 1.2, len(clock)) + 45.0 * jam
    return np.maximum(5.0, 68.0 - slow + 3.0 * _wander(len(clock), rng, 3.0)).round(), MINUTES_5, begins


def _occupancy(rng: np.random.Generator) -> Made:
    clock = _clock(9.0, MINUTES_5)
    jam, begins = _jams(clock, rng, 1)
    busy = (4.0 + 6.0 * _daytime(clock, 6.0, 20.0) + 8.0 * _rush(clock)) * np.exp(0.3 * _wander(len(clock), rng, 2.0))
    return np.maximum(0.0, busy + 30.0 * jam).round(2), MINUTES_5, begins


def _travel_time(rng: np.random.Generator) -> Made:
    clock = _clock(17.0, MINUTES_10)
    jam, begins = _jams(clock, rng, 3)
    time = (150.0 + 300.0 * _rush(clock)) * np.exp(0.5 * _wander(len(clock), rng, 1.5))
    return (time + 4000.0 * jam * rng.uniform(0.6, 1.0, len(clock))).round(), MINUTES_10, begins


def _air_temperature(rng: np.random.Generator) -> Made:
    clock = _clock(300.0, HOUR)
    values = 71.0 + 1.5 * np.sin(2 * np.pi * clock) + 2.5 * _wander(len(clock), rng, 60.0)
    values += 0.6 * rng.standard_normal(len(clock))
    first, second = (int(share * len(clock)) for share in (rng.uniform(0.45, 0.6), rng.uniform(0.8, 0.92)))
    values[first : first + 30] -= 12.0
    values[second : second + 72] += np.linspace(0.0, -14.0, 72)
    return values, HOUR, [first, second]


def _misconfigured(rng: np.random.Generator) -> Made:
    clock = _clock(60.0, MINUTES_5)
    values = 32.0 + 6.0 * np.sin(2 * np.pi * clock) + 3.0 * _wander(len(clock), rng, 12.0)
    values += 25.0 * _bursts(len(clock), rng, 288.0, 3.0)
    begin = int(rng.uniform(0.75, 0.9) * len(clock))
    values[begin : begin + 1500] += 35.0
    return np.clip(values, 0.0, 100.0), MINUTES_5, [begin]


def _latency_peaks(rng: np.random.Generator) -> Made:
    values = 45.0 + 2.0 * _wander(4032, rng, 4.0)
    begins = [int((0.4 + 0.2 * part + 0.15 * rng.random()) * 4032) for part in range(3)]
    values[begins[0]] = 85.0
    values[begins[1] : begins[1] + 6] = 70.0
    values[begins[2]] = 99.0
    return values, MINUTES_5, begins


def _machine(rng: np.random.Generator) -> Made:
    clock = _clock(79.0, MINUTES_5)
    values = 87.0 + 6.0 * _wander(len(clock), rng, 600.0) + 1.2 * _wander(len(clock), rng, 8.0)
    begins = [
        int(share * len(clock)) for share in (rng.uniform(0.15, 0.2), rng.uniform(0.5, 0.6), rng.uniform(0.8, 0.9))
    ]
    values[begins[0] : begins[0] + 150] -= 55.0 * np.sin(np.linspace(0.0, np.pi, 150))
    values[begins[1] : begins[1] + 700] -= np.linspace(0.0, 28.0, 700)
    values[begins[2] : begins[2] + 300] -= 70.0 * np.sin(np.linspace(0.0, np.pi, 300))
    return values, MINUTES_5, begins


def _taxi(rng: np.random.Generator) -> Made:
    clock = _clock(215.0, MINUTES_30)
    hour, weekday = clock % 1.0 * 24.0, clock.astype(int) % 7
    curve = (
        15_000.0 - 9000.0 * np.cos(2 * np.pi * (hour - 4.0) / 24.0) + 3000.0 * np.cos(4 * np.pi * (hour - 8.0) / 24.0)
    )
    late = np.where(weekday >= 5, 4000.0 * np.exp(-((((hour + 12.0) % 24.0 - 13.0) / 3.0) ** 2)), 0.0)
    values = (curve + late) * np.exp(0.05 * _wander(len(clock), rng, 30.0)) + 400.0 * rng.standard_normal(len(clock))
    days = np.sort(rng.choice(np.arange(60, 210, 10), 5, replace=False))
    for day, share in zip(days, (0.55, 1.45, 0.6, 0.7, 0.25), strict=True):
        values[clock.astype(int) == day] *= share
    return np.maximum(values, 0.0), MINUTES_30, [int(np.argmax(clock >= day + 0.3)) for day in days]


def _keys(rng: np.random.Generator) -> Made:
    clock = _clock(18.0, MINUTES_5)
    there = _daytime(clock, 8.0, 20.0) & (rng.random(len(clock)) < 0.6)
    values = np.where(there, 0.1 * rng.gamma(2.0, 0.5, len(clock)), 0.0)
    begins = [int((0.5 + 0.3 * part + 0.1 * rng.random()) * len(clock)) for part in range(2)]
    for begin in begins:
        values[begin : begin + 40] = 0.3 + 0.3 * rng.gamma(2.0, 0.5, 40)
    return values, MINUTES_5, begins


KINDS: dict[str, dict[str, Maker]] = {
    "artificial": {
        "jumps up": _square(1.9, 5.0),
        "jumps down": _square(0.35, 5.0),
        "no jump": _square(0.0, 5.0),
        "flat middle": _flat_middle,
        "denser spikes": _denser_spikes,
        "higher spikes": _higher_spikes,
        "noisier": _noisier,
    },
    "artificial, quiet": {
        "flat line": _flat_line,
        "noise": _plain_noise,
        "square": _same_days(0.0, smooth=False),
        "curve": _same_days(0.0, smooth=True),
        "noisy square": _same_days(3.0, smooth=False),
    },
    "traffic": {
        "speed": _speed,
        "occupancy": _occupancy,
        "travel time": _travel_time,
    },
    "known causes": {
        "air temperature": _air_temperature,
        "misconfigured cpu": _misconfigured,
        "latency peaks": _latency_peaks,
        "machine temperature": _machine,
        "taxi demand": _taxi,
        "key presses": _keys,
    },
}


def make_corpus(seed: int, copies: int = 3) -> list[Labelled]:
    """Return some series of every kind; each has its own random numbers, so that kinds can be added."""
    out = []
    for directory, kinds in KINDS.items():
        for name, copy in itertools.product(kinds, range(copies)):
            own = np.random.default_rng([seed, copy, *f"{directory}/{name}".encode()])
            values, step, begins = kinds[name](own)
            out.append(Labelled(directory, f"{name} {copy}", values, step, _windows(len(values), begins)))
    return out


def _windows(count: int, begins: Sequence[int]) -> list[tuple[int, int]]:
    width = int(0.1 * count / max(len(begins), 1))
    found: list[tuple[int, int]] = []
    for begin in begins:
        first = max(begin - width // 2, found[-1][1] + 1 if found else 0)
        found.append((first, min(begin - width // 2 + width - 1, count - 1)))
    return found
