"""Error-budget burn: which windows to query, and the findings in the responses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.burn import Events, burn_rate, find_burns, seconds_to_exhaustion
from perfloop_analyzer.findings import Finding, Reading, Severity
from perfloop_analyzer.pipeline.budgets import budget_queries, find_budgets
from perfloop_analyzer.pipeline.history import key_of
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.ports import Query
from perfloop_analyzer.series import aligned, current
from perfloop_base.burn_rates import BURN_RATES, WINDOWS
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.series import Batch
    from perfloop_base.burn_rates import BurnRate

RATE = "request_rate"
SHORTEST_SECONDS = parse_duration(WINDOWS[0])


def burn_queries(catalog: Mapping[str, Signal]) -> list[Query]:
    """Return a query per signal and window of the table, those for the number of events, and those of the budgets."""
    burning = [signal for signal in catalog.values() if _burns(signal)]
    queries = [Query(f"{s.name}@{span}", s.query(span)) for s in burning for span in WINDOWS]
    if burning and RATE in catalog:
        queries += [Query(f"{RATE}@{span}", catalog[RATE].query(span)) for span in WINDOWS]
    return queries + budget_queries()


def _burns(signal: Signal) -> bool:
    return "burn" in signal.detect and bool(signal.limit.goal)


def find_burning(
    batches: Mapping[str, Batch], catalog: Mapping[str, Signal], standing: Iterable[Finding] = ()
) -> tuple[list[Finding], list[Reading]]:
    """Compare every signal's windows with the table.

    The most urgent row gives the finding of a series; a burn that stood before keeps its onset.
    """
    since = {(old.signal, *key_of(old.labels)): old.onset for old in standing}
    findings: dict[tuple[object, ...], Finding] = {}
    readings = find_budgets(batches)
    for signal in catalog.values():
        if _burns(signal):
            for window in BURN_RATES:
                for finding in _row(batches, signal, window, readings):
                    key = (signal.name, *key_of(finding.labels))
                    findings.setdefault(key, replace(finding, onset=since.get(key, finding.onset)))
    return list(findings.values()), readings


def _row(batches: Mapping[str, Batch], signal: Signal, window: BurnRate, readings: list[Reading]) -> Sequence[Finding]:
    long, short = batches.get(f"{signal.name}@{window.long}"), batches.get(f"{signal.name}@{window.short}")
    if long is None or short is None or not len(long):
        return ()
    objective = float(signal.limit.goal or 1.0)
    newest = current(long.values)
    matching = aligned(short, long)
    events, recent = (
        aligned(batches.get(f"{RATE}@{span}"), long) * parse_duration(span) for span in (window.long, window.short)
    )
    burning = find_burns(newest, matching, Events(events, recent), window, objective)
    subject = Subject(long, signal, window.long)
    burn = burn_rate(newest, objective)
    left = seconds_to_exhaustion(np.ones(len(long)), burn)
    for row in np.flatnonzero(np.isfinite(burn)):
        readings.append(subject.reading(row, f"error_budget_burn:{window.long}", burn[row]))
        if burning[row]:
            readings.append(subject.reading(row, "error_budget_exhausted_seconds", left[row]))
    severity = Severity.CRITICAL if window.severity == "critical" else Severity.WARNING
    began = -SHORTEST_SECONDS / long.grid.step  # errors must have filled the shortest window
    return [
        subject.finding(row, "burn", severity, onset=began, value=newest[row], expected=objective, score=burn[row])
        for row in np.flatnonzero(burning)
    ]
