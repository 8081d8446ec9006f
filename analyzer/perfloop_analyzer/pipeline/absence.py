"""Services that were there and are gone: their targets vanished, or a service that is not scraped stopped reporting.

A target that Prometheus cannot scrape has `up` 0; one that service discovery no longer finds has no `up` at all, like
one that was removed on purpose. Both count as not answering at first; after FORGOTTEN_SECONDS the service is forgotten,
so that what was removed on purpose does not stay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.findings import AVAILABILITY, Finding, Severity
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.series import Batch, rows_by_service, service_of, services_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.series import Floats

MISSED_SECONDS = 30.0  # shorter gaps are restarts and relabelling
FORGOTTEN_SECONDS = 600.0
STEADY = 0.5  # share of the window in which a service must have reported, where nothing scrapes it


def find_absent(batches: Mapping[str, Batch], catalog: Mapping[str, Signal], window: str) -> list[Finding]:
    """Return a finding for every service that is gone, for as long as it is not forgotten."""
    findings: list[Finding] = []
    for name, batch in batches.items():
        signal = catalog[name]
        if "absence" in signal.detect and len(batch):
            findings += _absent(Subject(_with_unscraped(batch, batches, catalog), signal, window))
    return findings


def _absent(subject: Subject) -> list[Finding]:
    grid, there = subject.batch.grid, np.isfinite(subject.batch.values)
    missed = max(2, math.ceil(MISSED_SECONDS / grid.step))
    # Where Prometheus itself has no sample of anything, nobody is missing: it was off.
    covered = np.flatnonzero(there.any(axis=0))[-missed:]
    if len(covered) < missed or covered[-1] < grid.points - 2:
        return []
    findings = []
    for row in np.flatnonzero(there.any(axis=1) & ~there[:, covered].any(axis=1)):
        last = int(np.flatnonzero(there[row])[-1])
        known = service_of(subject.batch.labels[row], subject.signal.service) not in subject.signal.transient
        if known and (grid.points - 1 - last) * grid.step <= FORGOTTEN_SECONDS:
            findings.append(
                subject.finding(row, "absence", Severity.CRITICAL, onset=last + 1, value=0.0, expected=1.0, score=1.0)
            )
    return findings


def _with_unscraped(batch: Batch, batches: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> Batch:
    """Return the batch with a row for each service that has no row in it: 1 where any of its series had a value."""
    scraped = set(services_of(batch))
    presence: dict[str, Floats] = {}
    for name, other in batches.items():
        signal = catalog[name]
        if signal.service or signal.component == AVAILABILITY or other.grid != batch.grid:
            continue
        for service, rows in rows_by_service(other).items():
            if service not in scraped:
                row = presence.setdefault(service, np.full(batch.grid.points, np.nan))
                row[np.isfinite(other.values[rows]).any(axis=0)] = 1.0
    steady = {name: row for name, row in presence.items() if np.isfinite(row).mean() >= STEADY}
    if not steady:
        return batch
    names = (*batch.labels, *({"service": name} for name in steady))
    return Batch(batch.signal, batch.grid, names, np.vstack([batch.values, *steady.values()]))
