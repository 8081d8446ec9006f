"""One signal's series with the signal: turns what a detector reports about a row into a finding or reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.detectors.threshold import first_limit
from perfloop_analyzer.findings import Finding, Reading, Severity, series_of
from perfloop_analyzer.incidents import series_hash
from perfloop_analyzer.series import Batch, follow, service_of, services_of

if TYPE_CHECKING:
    from perfloop_analyzer.catalog import Signal

Row = int | np.integer[Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """One batch with its signal and the rate window of its query."""

    batch: Batch
    signal: Signal
    window: str

    def hashes(self) -> list[str]:
        """Return the key of each series, by which episodes and trends are remembered."""
        signal, batch = self.signal, self.batch
        services = services_of(batch, signal.service)
        return follow(
            batch.labels,
            ("hashes", signal.service, signal.name),
            lambda: [
                series_hash(service, signal.name, series_of(labels))
                for service, labels in zip(services, batch.labels, strict=True)
            ],
        )

    def finding(self, row: Row, detector: str, severity: Severity, **numbers: Any) -> Finding:
        """Return a finding about one row; `onset` is an index of the grid and may lie outside it."""
        signal, grid, labels = self.signal, self.batch.grid, self.batch.labels[row]
        onset, service = numbers.pop("onset"), service_of(labels, signal.service)
        measured: Any = {name: float(number) for name, number in numbers.items()}
        return Finding(
            detector=detector,
            signal=signal.name,
            title=signal.label,
            service=service,
            component=signal.component,
            kind=signal.kind,
            severity=severity,
            onset=float(grid.start + onset * grid.step),
            unit=signal.unit,
            direction=signal.direction,
            limit=first_limit(signal.limit_of(service)),
            expr=signal.query(self.window),
            window=(grid.start, grid.end),
            labels=labels,
            **measured,
        )

    def reading(self, row: Row, name: str, value: float) -> Reading:
        """Return a reading about one row."""
        labels = self.batch.labels[row]
        return Reading(name, self.signal.name, service_of(labels, self.signal.service), float(value), labels)
