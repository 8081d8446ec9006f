"""What the loop needs from the outside, as roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.findings import Finding, Reading
    from perfloop_analyzer.incidents import Incident
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.series import Batch, Grid


@dataclass(frozen=True, slots=True)
class Question:
    """One expression to be asked over a grid."""

    signal: str
    expr: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back: batches, and for every question that failed the sentence that says why."""

    batches: Mapping[str, Batch]
    failures: Mapping[str, str]
    samples: int = 0
    seconds: float = 0.0


class Source(Protocol):
    """Whoever answers PromQL."""

    async def ask(self, questions: Sequence[Question], grid: Grid) -> Answers:
        """Answer every question that the budget allows."""

    async def scrape_interval(self) -> float | None:
        """Return the usual time between two scrapes, when it can be known."""


class Wording(Protocol):
    """Whoever words recommendations for people; counts the texts that were refused."""

    refused: int

    async def reword(self, recommendations: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return the recommendations with words."""


@dataclass(frozen=True, slots=True)
class Health:
    """One service's health: 100 minus penalties that add up exactly."""

    service: str
    score: float
    penalties: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"service": self.service, "score": self.score, "penalties": dict(self.penalties)}


@dataclass(frozen=True, slots=True)
class Result:
    """What one cycle found."""

    at: float
    health: tuple[Health, ...] = ()
    findings: tuple[Finding, ...] = ()
    incidents: tuple[Incident, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    decided: tuple[Recommendation, ...] = ()
    readings: tuple[Reading, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    series: int = 0
    points: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: what the HTTP API, `once --json` and the report share."""
        return {
            "at": self.at,
            "health": [health.as_dict() for health in self.health],
            "incidents": [incident.as_dict() for incident in self.incidents],
            "findings": [finding.as_dict() for finding in self.findings],
            "recommendations": [recommendation.as_dict() for recommendation in self.recommendations],
            "failures": dict(self.failures),
            "series": self.series,
        }


class Store(Protocol):
    """Whoever remembers."""

    def merge(self, recommendations: Sequence[Recommendation], at: float) -> tuple[Recommendation, ...]:
        """Take what a cycle recommends, keep each one's state, and return all that are alive."""

    def recommendations(self, state: str | None = None) -> tuple[Recommendation, ...]:
        """Return what is remembered, newest first."""

    def decided(self, since: float) -> tuple[Recommendation, ...]:
        """Return what people took up or the analyzer judged since a moment."""

    def conclude(self, identifier: str, step: str, measured: Mapping[str, Any], at: float) -> None:
        """Write down what an implemented recommendation was measured to bring."""

    def transition(self, identifier: str, step: str, at: float) -> Recommendation:
        """Move one recommendation on in its life."""

    def events(self, identifier: str) -> tuple[dict[str, Any], ...]:
        """Return every step in the life of a recommendation."""

    def write_findings(self, findings: Sequence[Finding], at: float) -> None:
        """Remember what stands."""

    def findings(self, since: float) -> Sequence[Any]:
        """Return findings with the span in which they stood, since a moment."""

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Remember what is usual."""

    def baselines(self, since: float) -> dict[str, dict[str, Any]]:
        """Return what was usual, where it is recent enough."""
