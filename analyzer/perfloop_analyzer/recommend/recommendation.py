"""A recommendation: an action with evidence, an expected improvement and a life."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIORITIES = ("low", "medium", "high", "critical")

# What each step asks for and gives. OWN_STEPS belong to the analyzer, the others to people.
STEPS: Mapping[str, tuple[frozenset[str], str]] = {
    "accept": (frozenset({"open"}), "accepted"),
    "implement": (frozenset({"open", "accepted"}), "implemented"),
    "dismiss": (frozenset({"open", "accepted"}), "dismissed"),
    "reopen": (frozenset({"accepted", "implemented", "dismissed", "expired", "refuted", "validated"}), "open"),
    "expire": (frozenset({"open"}), "expired"),
    "validate": (frozenset({"implemented"}), "validated"),
    "refute": (frozenset({"implemented"}), "refuted"),
}
OWN_STEPS = frozenset({"expire", "validate", "refute"})
STATES = frozenset({"open", "accepted", "implemented", "validated", "refuted", "dismissed", "expired"})
DECIDED = frozenset({"accepted", "implemented", "validated", "refuted"})


@dataclass(frozen=True, slots=True)
class Improvement:
    """The share of a metric that goes away, between two bounds, with the formula and its inputs."""

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
    """What to do, why, what it brings, and where it stands."""

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
    """Read the JSON form back."""
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
