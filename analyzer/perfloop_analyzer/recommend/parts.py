"""Which part of a service stands out: the slowest route, the fullest volume, the target that does not answer.

A finding is about a service. The catalogue has for many signals a second query with a series for each part; the worst
of these at the moment of the cycle is what a recommendation names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.catalog.overrides import ROUTE_SEPARATOR
from perfloop_analyzer.series import Batch, current, service_of
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.series import Labels

MOST = 3
PLACE = "instance"  # it says where: alone it distinguishes nothing


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a service, and the value of the finding's signal for it."""

    name: str
    value: float
    unit: str

    @property
    def shown(self) -> str:
        """The name with its value."""
        return f"{self.name} {quantity(self.value, self.unit)}"


PartsOf = Callable[["Finding"], Sequence[Part]]


def no_parts(_finding: Finding) -> Sequence[Part]:
    """Return nothing: no part is known."""
    return ()


def find_parts(batches: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> PartsOf:
    """Return what gives a finding's parts, the worst first; `batches` answer the catalogue's queries for parts."""

    def parts(finding: Finding) -> Sequence[Part]:
        _, _, route = finding.signal.partition(ROUTE_SEPARATOR)
        if route:
            return (Part(route, finding.value, finding.unit),)
        batch, signal = batches.get(finding.signal), catalog.get(finding.signal)
        if batch is None or signal is None or signal.parts is None:
            return ()
        return _ranked(finding, batch, signal.parts.by)

    return parts


def _ranked(finding: Finding, batch: Batch, by: Sequence[str]) -> Sequence[Part]:
    found = {
        tuple(labels.get(label, "") for label in by): float(value)
        for labels, value in zip(batch.labels, current(batch.values), strict=True)
        if math.isfinite(value) and _is_part(labels, finding)
    }
    distinct = [at for at, label in enumerate(by) if label != PLACE or len({names[at] for names in found}) > 1]
    named = {" on ".join(names[at] for at in distinct if names[at]): value for names, value in found.items()}
    sign = -1.0 if finding.direction == "above" else 1.0
    parts = [Part(name, value, finding.unit) for name, value in named.items() if name]
    return tuple(sorted(parts, key=lambda part: (sign * part.value, part.name)))


def _is_part(labels: Labels, finding: Finding) -> bool:
    return service_of(labels) == finding.service and all(
        labels[name] == value for name, value in finding.labels.items() if name in labels and name != "service"
    )


def name_outstanding(parts: Sequence[Part]) -> str:
    """Return the names of the worst parts, up to MOST that are equally bad; none where all of several are."""
    worst = [part.name for part in parts if parts and part.value == parts[0].value]
    if not worst or len(worst) > MOST or (len(worst) == len(parts) and len(parts) > 1):
        return ""
    *others, last = worst
    return f"{', '.join(others)} and {last}" if others else last
