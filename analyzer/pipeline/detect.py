"""Runs the detectors that a signal asks for over its batch, and words what they say as findings and readings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analyzer.catalog import Signal
from analyzer.detectors.threshold import find_breaches
from analyzer.findings import Finding, Reading, Severity
from analyzer.series import Batch, service_of


@dataclass(frozen=True, slots=True)
class Detection:
    """What all detectors said."""

    findings: tuple[Finding, ...]
    readings: tuple[Reading, ...]


def detect_all(batches: Mapping[str, Batch], catalog: Mapping[str, Signal], window: str) -> Detection:
    """Run every detector over every batch."""
    findings: list[Finding] = []
    for name, batch in batches.items():
        signal = catalog[name]
        if "threshold" in signal.detect:
            findings += threshold_findings(batch, signal, window)
    return Detection(tuple(findings), ())


def threshold_findings(batch: Batch, signal: Signal, window: str) -> list[Finding]:
    """Word the breaches of one batch."""
    breaches = find_breaches(batch.values, signal.limit, signal.direction)
    found = []
    for row in np.flatnonzero(breaches.breached):
        onset = int(breaches.onset[row])
        earlier = batch.values[row, :onset]
        expected = float(np.nanmedian(earlier)) if np.isfinite(earlier).any() else float(signal.limit.warning or 0.0)
        labels = batch.labels[row]
        excess = float(breaches.excess[row])
        found.append(
            Finding(
                detector="threshold",
                signal=signal.name,
                title=signal.label,
                service=service_of(labels, signal.service),
                component=signal.component,
                kind=signal.kind,
                severity=Severity.CRITICAL if excess >= 1.0 else Severity.WARNING,
                value=float(breaches.value[row]),
                expected=expected,
                onset=float(batch.grid.start + onset * batch.grid.step),
                unit=signal.unit,
                direction=signal.direction,
                limit=signal.limit.warning,
                score=excess,
                expr=signal.query(window),
                window=(batch.grid.start, batch.grid.end),
                labels=labels,
            )
        )
    return found
