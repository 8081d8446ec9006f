"""What is learned from days of history, every few minutes: profiles, recurrent excursions, trends and forecasts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.detectors.anomaly import DEGREES, Band, Tail, no_excursions, recurrent_tail
from perfloop_analyzer.detectors.former_levels import FormerLevels, learn_levels, nothing_known
from perfloop_analyzer.detectors.seasonal_profile import Profile, learn_profile
from perfloop_analyzer.pipeline.lives import Lives
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.pipeline.trends import Outlook, find_long_trends, steepest_rises
from perfloop_analyzer.ports import Query
from perfloop_analyzer.recommend import SIZED_SIGNALS, Usage, learn_usage
from perfloop_analyzer.series import follow, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding, Reading
    from perfloop_analyzer.series import Batch, Floats, Labels

Key = tuple[tuple[str, str], ...]
LOAD = "request_rate"


def key_of(labels: Labels) -> Key:
    """Return the labels of a series as a key that distinguishes it from the signal's others."""
    return tuple(sorted(labels.items()))


def keys_of(batch: Batch) -> list[Key]:
    """Return the key of each series of a batch."""
    return follow(batch.labels, "keys", lambda: [key_of(labels) for labels in batch.labels])


def rows_of(batch: Batch, history: History) -> NDArray[np.int64]:
    """Return where each series of a batch stands in what the history taught of its signal; -1 where it does not."""
    known = history.learned.get(batch.signal)
    if known is None or not known.rows:
        return np.full(len(batch), -1, dtype=np.int64)
    return np.array([known.rows.get(key, -1) for key in keys_of(batch)], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Learned:
    """One signal's profiles, excursions and levels, by series; those of the levels are less the profiles."""

    rows: Mapping[Key, int]
    profile: Profile
    tail: Tail
    levels: FormerLevels


@dataclass(frozen=True, slots=True)
class Season:
    """What the history expects of some series now, shape (series,), in the signal's unit; NaN where there is no season.

    `tail` are the history's excursions.
    """

    expected: Floats
    scale: Floats
    tail: Tail

    def take(self, part: slice) -> Season:
        """Return that of some of the series."""
        tail = Tail(self.tail.reach[part], self.tail.spread[part], self.tail.rate[part])
        return Season(self.expected[part], self.scale[part], tail)

    def widen(self, local: Band) -> Band:
        """Return the seasonal band of each series that has a season, and the local band of the others.

        Both reach at least as far as the history's excursions.
        """
        usable = np.isfinite(self.expected)
        wide = np.fmax(np.where(usable, self.scale, 0.0), np.nan_to_num(local.scale))
        return Band(
            expected=np.where(usable, self.expected, local.expected),
            scale=np.where(usable, wide, local.scale),
            degrees=np.where(usable, DEGREES, local.degrees),
            tails=(*local.tails, self.tail),
        )


@dataclass(frozen=True, slots=True)
class History:
    """What was learned about every signal; empty until the history was read for the first time.

    `steepest` is how fast each series of a signal that is forecast has risen, `lives` which trends go on (see `Lives`).
    """

    learned: Mapping[str, Learned] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    readings: tuple[Reading, ...] = ()
    usage: Mapping[str, Mapping[Key, Usage]] = field(default_factory=dict)
    steepest: Mapping[str, Mapping[Key, float]] = field(default_factory=dict)
    lives: Mapping[str, int] | None = None

    def steepest_rises(self, batch: Batch) -> Floats:
        """Return how fast each series of a batch has risen before, per second; NaN where it is not known."""
        known = self.steepest.get(batch.signal, {})
        if not known:
            return np.full(len(batch), np.nan)
        return np.array([known.get(key, np.nan) for key in keys_of(batch)], dtype=np.float64)

    def season(self, batch: Batch) -> Season | None:
        """Return what is known of each series of a batch at its newest point; None where it is nothing."""
        known = self.learned.get(batch.signal)
        if known is None or not known.rows:
            return None
        expected, scale = known.profile.at(batch.grid.end)
        rows = rows_of(batch, self)
        there = rows >= 0
        return Season(
            np.where(there, expected[rows], np.nan), np.where(there, scale[rows], np.nan), known.tail.take(rows)
        )


def pack(history: History) -> dict[str, dict[str, Any]]:
    """Return the profiles of series that have a season, as plain lists; the rest is learned again within minutes."""
    packed = {}
    for signal, known in history.learned.items():
        rows = [(key, row) for key, row in known.rows.items() if np.isfinite(known.profile.expected[row]).any()]
        if rows:
            places = [row for _, row in rows]
            packed[signal] = {
                "step": known.profile.step,
                "series": [dict(key) for key, _ in rows],
                "expected": _plain(known.profile.expected[places]),
                "scale": _plain(known.profile.scale[places]),
            }
    return packed


def unpack(packed: Mapping[str, Mapping[str, Any]]) -> History:
    """Return the history of packed profiles; what is no profile is left out: it is learned again."""
    learned = {}
    for signal, body in packed.items():
        try:
            learned[signal] = _unpacked(body)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return History(learned)


def _unpacked(body: Mapping[str, Any]) -> Learned:
    rows = {key_of(labels): row for row, labels in enumerate(body["series"])}
    step, expected, scale = float(body["step"]), _floats(body["expected"]), _floats(body["scale"])
    shape = (len(body["series"]), expected.shape[1])
    if not step > 0 or not shape[1] or expected.shape != shape or scale.shape != shape:
        raise ValueError("not a profile")
    return Learned(rows, Profile(step, expected, scale), no_excursions(len(rows)), nothing_known())


def _learn(subject: Subject) -> Learned:
    batch, direction = subject.batch, subject.signal.direction
    rows = {key: row for row, key in enumerate(keys_of(batch))}
    profile = learn_profile(batch.values, batch.grid)
    tail = recurrent_tail(batch.values, batch.grid.step, direction)
    rest = profile.rest(batch.values, batch.grid)
    return Learned(rows, profile, tail, learn_levels(rest if direction == "above" else -rest, batch.grid.step))


def _plain(values: Floats) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), 9) for value in row] for row in values]


def _floats(rows: list[list[float | None]]) -> Floats:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)


def history_queries(catalog: Mapping[str, Signal], window: str) -> list[Query]:
    """Return the queries for the signals whose detectors use the history, and for the load that explains some."""
    wanted = {"anomaly", "change", "trend", "forecast"}
    return [Query(s.name, s.query(window)) for s in catalog.values() if wanted & set(s.detect) or s.name == LOAD]


def loads_of(batches: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> dict[str, Floats]:
    """Return each service's requests per second, shape (points,); where a service has several series their sum."""
    batch = batches.get(LOAD)
    loads: dict[str, Floats] = {}
    for labels, values in zip(batch.labels, batch.values, strict=True) if batch is not None else ():
        service = service_of(labels, catalog[LOAD].service if LOAD in catalog else None)
        loads[service] = loads[service] + values if service in loads else values
    return loads


def learn(
    batches: Mapping[str, Batch], catalog: Mapping[str, Signal], window: str, level: float, lives: Lives | None = None
) -> History:
    """Return the profiles, trends and forecasts of the history.

    Args:
        batches: The history, by signal.
        catalog: The signals by name.
        window: The rate window of the queries.
        level: The false discovery rate of one reading.
        lives: The trends of the reading before; the same object has those of this one afterwards.
    """
    lives = Lives() if lives is None else lives
    outlook = Outlook(level, lives, loads_of(batches, catalog))
    steepest: dict[str, Mapping[Key, float]] = {}
    learned = {}
    findings: list[Finding] = []
    readings: list[Reading] = []
    usage: dict[str, Mapping[Key, Usage]] = {}
    for name, batch in batches.items():
        if not len(batch):
            continue
        subject = Subject(batch, catalog[name], window)
        if name in SIZED_SIGNALS:
            sized = learn_usage(batch.values, batch.grid.end - batch.grid.times())
            usage[name] = {key_of(batch.labels[row]): one for row, one in sized}
        if {"anomaly", "change"} & set(subject.signal.detect):
            learned[name] = _learn(subject)
        if {"trend", "forecast"} & set(subject.signal.detect):
            find_long_trends(subject, outlook, findings, readings)
        if "forecast" in subject.signal.detect:
            rises = steepest_rises(batch.values, batch.grid.step)
            steepest[name] = {key_of(labels): float(rises[row]) for row, labels in enumerate(batch.labels)}
    return History(learned, tuple(findings), tuple(readings), usage, steepest, lives.after())
