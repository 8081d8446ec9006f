"""A recommendation: an action with evidence, an expected improvement and a life cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIORITIES = ("low", "medium", "high", "critical")

# Each step with the states that it may be taken in and the state that it leads to.
STEPS: Mapping[str, tuple[frozenset[str], str]] = {
    "accept": (frozenset({"open"}), "accepted"),
    "implement": (frozenset({"open", "accepted"}), "implemented"),
    "dismiss": (frozenset({"open", "accepted"}), "dismissed"),
    "reopen": (frozenset({"accepted", "implemented", "dismissed", "expired", "refuted", "validated"}), "open"),
    "expire": (frozenset({"open"}), "expired"),
    "validate": (frozenset({"implemented"}), "validated"),
    "refute": (frozenset({"implemented"}), "refuted"),
}
# The steps that people take; the analyzer takes the others.
PEOPLES_STEPS = ("accept", "implement", "dismiss", "reopen")
STATES = frozenset({"open", "accepted", "implemented", "validated", "refuted", "dismissed", "expired"})
DECIDED = frozenset({"accepted", "implemented", "validated", "refuted"})


@dataclass(frozen=True, slots=True)
class Improvement:
    """The expected reduction of a metric.

    Attributes:
        ratio: The share of the metric that goes away, from 0 to 1; `low` and `high` are its bounds.
        metric: The signal that is reduced.
        method: The formula, as rules files name it.
        explanation: The formula's inputs and result in words.
    """

    ratio: float
    low: float
    high: float
    metric: str
    method: str
    explanation: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do, why, what it brings, and its state.

    Attributes:
        evidence: For each finding, what a person needs to check it.
        rivals: Other possible causes of the incident, in words.
        created, updated: Unix seconds.
        values: cause_score and incident; later `stood_until`, `measured` and `words`.
    """

    id: str
    rule: str
    service: str
    component: str
    category: str
    priority: str
    title: str
    action: str
    effort: str
    cost: str
    affects: tuple[str, ...]
    evidence: tuple[Mapping[str, Any], ...]
    rivals: tuple[str, ...] = ()
    improvement: Improvement | None = None
    state: str = "open"
    created: float = 0.0
    updated: float = 0.0
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "affects": list(self.affects),
            "evidence": [dict(item) for item in self.evidence],
            "rivals": list(self.rivals),
            "improvement": self.improvement.as_dict() if self.improvement else None,
            "values": dict(self.values),
        }


def from_dict(data: Mapping[str, Any]) -> Recommendation:
    """Return the recommendation of a JSON form."""
    improvement = data.get("improvement")
    fields = {name: data[name] for name in Recommendation.__slots__ if name in data}
    return Recommendation(
        **fields
        | {
            "affects": tuple(data["affects"]),
            "evidence": tuple(data["evidence"]),
            "rivals": tuple(data.get("rivals", ())),
            "improvement": Improvement(**improvement) if improvement else None,
        }
    )
