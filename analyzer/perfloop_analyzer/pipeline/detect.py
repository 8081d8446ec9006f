"""Runs the detectors over every batch; their statistical findings pass one multiple-testing control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.anomaly import Anomalies, persist_points
from perfloop_analyzer.detectors.multiple import reject
from perfloop_analyzer.detectors.spread import Here
from perfloop_analyzer.detectors.threshold import find_breaches, first_limit, run_start
from perfloop_analyzer.findings import MOST_BANDS, Finding, Reading, Severity
from perfloop_analyzer.incidents import Memory, is_new
from perfloop_analyzer.pipeline.absence import find_absent
from perfloop_analyzer.pipeline.changes import find_changes
from perfloop_analyzer.pipeline.history import History
from perfloop_analyzer.pipeline.kernels import Measure, judge
from perfloop_analyzer.pipeline.subject import Row, Subject
from perfloop_analyzer.pipeline.trends import find_window_forecasts, soonest_limits
from perfloop_analyzer.series import Batch, Floats, rows_by_service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_analyzer.catalog import Limit, Signal
    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.detectors.spread import Spread
    from perfloop_analyzer.recommend.track_record import TrackRecord

Rows = NDArray[np.int64]

STRONG = 2.0  # anomaly score from which on it is a warning


@dataclass(frozen=True, slots=True)
class Settings:
    """What the detectors need besides the data.

    Attributes:
        window: The rate window, such as `1m`.
        level: The false discovery rate of one cycle.
        history: Profiles, and the findings and readings of the last reading of the history.
        memory: What the last cycle found, and since when it stands.
        burning: The burn findings that stand, with their readings in `burn_readings`.
        changes: What was changed lately, newest first.
        records: What became of the expectations of earlier recommendations, by rule.
        spread: Who works on the blocks of many series.
    """

    window: str = "1m"
    level: float = 1e-4
    history: History = field(default_factory=History)
    memory: Memory = field(default_factory=Memory)
    burning: tuple[Finding, ...] = ()
    burn_readings: tuple[Reading, ...] = ()
    changes: tuple[Change, ...] = ()
    records: Mapping[str, TrackRecord] = field(default_factory=dict)
    spread: Spread = field(default_factory=Here)


@dataclass(frozen=True, slots=True)
class Detection:
    """What all detectors reported."""

    findings: tuple[Finding, ...]
    readings: tuple[Reading, ...]


@dataclass(slots=True)
class _Candidate:
    """A finding that may still be rejected by the multiple-testing control."""

    finding: Finding
    p_value: float


def detect_all(batches: Mapping[str, Batch], catalog: Mapping[str, Signal], settings: Settings) -> Detection:
    """Run on every batch the detectors that its signal names."""
    findings = [*settings.history.findings, *settings.burning]
    readings = [*settings.history.readings, *settings.burn_readings]
    candidates: dict[str, list[_Candidate]] = {"anomaly": [], "change": []}
    tests = {"anomaly": 0, "change": 0}
    for name, batch in batches.items():
        subject = Subject(batch, catalog[name], settings.window)
        wanted = subject.signal.detect if len(batch) else ()
        if "threshold" in wanted:
            findings += threshold_findings(subject)
        if "anomaly" in wanted:
            signal, persist = subject.signal, persist_points(batch.grid)
            measure = Measure(signal.direction, signal.min_deviation, settings.level, persist)
            seen = judge(batch.values, settings.history.season(batch), measure, settings.spread)
            tests["anomaly"] += int(np.isfinite(seen.p_value).sum())
            _sort_anomalies(subject, seen, settings, candidates["anomaly"], findings)
            readings += _band_readings(subject, seen)
        if "change" in wanted:
            tests["change"] += len(batch)
            changes, standing = find_changes(subject, settings, readings)
            candidates["change"] += [_Candidate(change, p_value) for change, p_value in changes]
            findings += standing
        if "forecast" in wanted:
            find_window_forecasts(subject, settings.history.steepest_rises(batch), findings, readings)
    findings += find_absent(batches, catalog, settings.window)
    for kind, waiting in candidates.items():
        findings += _significant(waiting, tests[kind], settings.level)
    return Detection(tuple(_strongest_per_series(findings)), tuple(soonest_limits(readings)))


def threshold_findings(subject: Subject) -> list[Finding]:
    """Return the breaches of one batch, each service compared with its own limit."""
    return [finding for limit, rows in _by_limit(subject) for finding in _breaches(subject, limit, rows)]


def _by_limit(subject: Subject) -> Iterable[tuple[Limit, Rows]]:
    signal, labels = subject.signal, subject.batch.labels
    if not signal.own_limits:
        return [(signal.limit, np.arange(len(labels)))]
    groups: dict[Limit, list[int]] = {}
    for service, rows in rows_by_service(subject.batch, signal.service).items():
        groups.setdefault(signal.limit_of(service), []).extend(rows)
    return [(limit, np.array(sorted(rows))) for limit, rows in groups.items()]


def _breaches(subject: Subject, limit: Limit, rows: Rows) -> Iterable[Finding]:
    values = subject.batch.values[rows]
    breaches = find_breaches(values, limit, subject.signal.direction)
    for place in np.flatnonzero(breaches.breached):
        onset, excess = int(breaches.onset[place]), float(breaches.excess[place])
        severity = Severity.CRITICAL if breaches.critical[place] else Severity.WARNING
        numbers = {"value": breaches.value[place], "expected": _before(values[place], onset, first_limit(limit))}
        yield subject.finding(rows[place], "threshold", severity, onset=onset, score=excess, **numbers)


def _before(row: Floats, onset: int, fallback: float | None) -> float:
    """Return the median before an onset; where there is none, the limit."""
    earlier = row[:onset]
    return float(np.nanmedian(earlier)) if np.isfinite(earlier).any() else float(fallback or 0.0)


def _sort_anomalies(
    subject: Subject, seen: Anomalies, settings: Settings, candidates: list[_Candidate], findings: list[Finding]
) -> None:
    """Add to the findings the anomalies that have begun and have not ended, and to the candidates those that begin."""
    begins = seen.p_value <= settings.level
    for row in np.flatnonzero(begins | seen.lingers):
        severity = Severity.WARNING if begins[row] and seen.score[row] >= STRONG else Severity.INFO
        finding = subject.finding(
            row,
            "anomaly",
            severity,
            onset=_anomaly_onset(subject.batch.values[row], seen, row, subject.signal.direction),
            value=seen.value[row],
            expected=seen.expected[row],
            score=seen.score[row],
            p_value=seen.p_value[row],
        )
        if seen.lingers[row] and not is_new(finding, settings.memory):
            findings.append(finding)
        elif begins[row]:
            candidates.append(_Candidate(finding, float(seen.p_value[row])))


def _band_readings(subject: Subject, seen: Anomalies) -> Iterable[Reading]:
    rows = np.flatnonzero(np.isfinite(seen.expected) & np.isfinite(seen.value))
    # What is published of all signals together is that of the most anomalous series.
    loudest = np.argsort(-seen.score[rows], kind="stable")[:MOST_BANDS]
    for row in rows[np.sort(loudest)]:
        yield subject.reading(row, "signal_value", seen.value[row])
        yield subject.reading(row, "anomaly_score", seen.score[row])
        yield subject.reading(row, "anomaly_expected", seen.expected[row])
        yield subject.reading(row, "anomaly_lower", seen.lower[row])
        yield subject.reading(row, "anomaly_upper", seen.upper[row])


def _anomaly_onset(values: Floats, seen: Anomalies, row: Row, direction: str) -> int:
    edge = seen.upper[row] if direction == "above" else seen.lower[row]
    beyond = values > edge if direction == "above" else values < edge
    return int(run_start((beyond | np.isnan(values))[None, :])[0])


def _significant(candidates: list[_Candidate], tests: int, level: float) -> Iterable[Finding]:
    """Return the findings that remain after Benjamini-Hochberg over all tests of the cycle."""
    p_values = np.ones(max(tests, len(candidates)))
    p_values[: len(candidates)] = [candidate.p_value for candidate in candidates]
    standing = reject(p_values, level)
    return [candidate.finding for candidate, stands in zip(candidates, standing, strict=False) if stands]


def _strongest_per_series(findings: list[Finding]) -> list[Finding]:
    """Return one finding per series of a signal: the most severe, among equals that of the strongest detector."""
    strength = {"threshold": 4, "burn": 3, "forecast": 2, "anomaly": 1, "novelty": 1, "change_point": 0}
    best: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        key = (finding.signal, *sorted(finding.labels.items()))
        held = best.get(key)
        rank = (finding.severity, strength.get(finding.detector, 0))
        if held is None or rank > (held.severity, strength.get(held.detector, 0)):
            best[key] = finding
    return list(best.values())
