"""A finding: one thing that a detector says about one series of one signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERALL = "overall"


class Severity(IntEnum):
    """How bad it is."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> str:
        """The word that labels and pages show."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, where, since when, and the numbers that say so."""

    detector: str
    signal: str
    title: str
    service: str
    component: str
    kind: str
    severity: Severity
    value: float
    expected: float
    onset: float
    unit: str = ""
    direction: str = "above"
    limit: float | None = None
    p_value: float | None = None
    score: float = 1.0
    expr: str = ""
    window: tuple[float, float] = (0.0, 0.0)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """What must be equal for two findings to speak of the same thing."""
        return self.service, self.component, self.signal

    @property
    def place(self) -> str:
        """What tells this series from the service's others, in brackets; empty when there is nothing to tell."""
        names = [value for name, value in sorted(self.labels.items()) if name not in ("service", "job")]
        return f" ({', '.join(names)})" if names else ""

    @property
    def never_better(self) -> bool:
        """Whether there is no level from before: then the limit stands in for what is expected."""
        return self.limit is not None and self.expected == self.limit

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "detector": self.detector,
            "signal": self.signal,
            "title": self.title,
            "service": self.service,
            "component": self.component,
            "kind": self.kind,
            "severity": self.severity.word,
            "value": self.value,
            "expected": self.expected,
            "onset": self.onset,
            "unit": self.unit,
            "direction": self.direction,
            "limit": self.limit,
            "p_value": self.p_value,
            "score": self.score,
            "labels": dict(self.labels),
            "evidence": {"expr": self.expr, "start": self.window[0], "end": self.window[1]},
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """A detector's continuous output for one series, published whether or not it is a finding."""

    name: str
    signal: str
    service: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
