"""A finding: one thing that a detector reports about one series of one signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.exemplars import Traced

OVERALL = "overall"
AVAILABILITY = "availability"  # the component of signals that say whether a service answers at all
COMPONENT_NAMES = {"api": "API", "cpu": "CPU", "gpu": "GPU", "vector": "vector search", "storage": "object storage"}


def component_name(component: str) -> str:
    """Return a component's name for people."""
    return COMPONENT_NAMES.get(component, component.replace("_", " "))


def place_of(labels: Mapping[str, str]) -> str:
    """Return the labels that distinguish a series from the service's others, in parentheses; else nothing."""
    names = [value for name, value in sorted(labels.items()) if name not in ("service", "job")]
    return f" ({', '.join(names)})" if names else ""


MOST_BANDS = 2000  # series whose expected bands are published, the most anomalous of all


def series_of(labels: Mapping[str, str]) -> str:
    """Return what distinguishes a series from the signal's others of its service; empty where nothing does."""
    rest = sorted((name, value) for name, value in labels.items() if name != "service")
    return ",".join(f"{name}={value}" for name, value in rest)


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
    """What was found, where, since when, and the numbers behind it.

    Attributes:
        detector: threshold, absence, burn, forecast, anomaly, novelty, change_point or trend.
        kind: use (a resource) or red (what callers experience).
        value: The current level, in `unit`.
        expected: The level before, in `unit`; the limit where there is no level from before.
        onset: When it began, in Unix seconds.
        limit: The warning limit, in `unit`.
        p_value: The probability of as much by chance; None for detectors without a test.
        score: How far beyond the limit or the band: 1 is the critical limit or the edge of the band.
        expr: The PromQL that was evaluated over `window` (start and end in Unix seconds).
        traces: Of a latency, requests that were slow and traced, the slowest first.
    """

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
    traces: tuple[Traced, ...] = ()

    @property
    def place(self) -> str:
        """The labels that distinguish this series from the service's others, in parentheses; else nothing."""
        return place_of(self.labels)

    @property
    def has_no_baseline(self) -> bool:
        """Whether there is no level from before; the limit is then the expected value."""
        return self.limit is not None and self.expected == self.limit

    @property
    def is_down(self) -> bool:
        """Whether it says that the service does not answer at all."""
        return self.component == AVAILABILITY and self.severity is Severity.CRITICAL

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        evidence: dict[str, Any] = {"expr": self.expr, "start": self.window[0], "end": self.window[1]}
        if self.traces:
            evidence["traces"] = [one.as_dict() for one in self.traces]
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
            "evidence": evidence,
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """A detector's continuous output for one series, published whether or not it is a finding."""

    name: str
    signal: str
    service: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
