"""What the loop needs from outside, as roles, and the values that pass between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_analyzer.incidents import Memory, rank_services
from perfloop_analyzer.planning.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.findings import Finding, Reading
    from perfloop_analyzer.incidents import Incident
    from perfloop_analyzer.planning.costs.progress import Baseline
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.recommend.track_record import TrackRecord
    from perfloop_analyzer.series import Batch, Grid
    from perfloop_analyzer.waste import Wasted


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression; `signal` names its response."""

    signal: str
    expr: str


@dataclass(frozen=True, slots=True)
class Responses:
    """What Prometheus returned.

    Attributes:
        batches: The series of each answered query, by signal.
        failures: For each failed query, by signal, one sentence with the reason.
        samples: How many samples were read.
        seconds: How long it took.
    """

    batches: Mapping[str, Batch]
    failures: Mapping[str, str]
    samples: int = 0
    seconds: float = 0.0


class Source(Protocol):
    """Something that answers PromQL."""

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Run every query over the grid, as far as the budget allows."""

    async def scrape_interval(self) -> float | None:
        """Return the usual time between two scrapes in seconds; None when it is unknown."""


class SourceAround:
    """A source around another one, which does what a subclass does not do itself."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def skew(self) -> float:
        """How far the clock of Prometheus is ahead, in seconds."""
        return float(getattr(self._source, "skew", 0.0))

    async def scrape_interval(self) -> float | None:
        """Return the usual time between two scrapes in seconds; None when it is unknown."""
        return await self._source.scrape_interval()


class Rewriter(Protocol):
    """Something that rewords recommendations for people; it counts the texts that it rejected."""

    rejected: int

    async def rewrite(self, recommendations: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return the recommendations, some of them with a text under `values.words`."""


class NoRewriting:
    """The rewriter without a language model: every text stays as the rules have it."""

    rejected = 0

    async def rewrite(self, recommendations: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return the recommendations unchanged."""
        return tuple(recommendations)


@dataclass(frozen=True, slots=True)
class Health:
    """One service's health score: 100 minus penalties (by signal) that add up exactly."""

    service: str
    score: float
    penalties: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"service": self.service, "score": self.score, "penalties": dict(self.penalties)}


@dataclass(frozen=True, slots=True)
class Unseen:
    """The signals of a service that have no finite value now, by their titles, and of how many signals."""

    service: str
    signals: tuple[str, ...]
    total: int

    @property
    def words(self) -> str:
        """How much is not seen, for people."""
        return f"no data for {len(self.signals)} of {self.total} signals"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"service": self.service, "signals": list(self.signals), "total": self.total, "words": self.words}


@dataclass(frozen=True, slots=True)
class Result:
    """What one cycle found; `at` is its moment in Unix seconds, and `unseen` the signals without data."""

    at: float
    health: tuple[Health, ...] = ()
    findings: tuple[Finding, ...] = ()
    incidents: tuple[Incident, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    decided: tuple[Recommendation, ...] = ()
    changes: tuple[Change, ...] = ()
    records: Mapping[str, TrackRecord] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    series: int = 0
    points: int = 0
    unseen: tuple[Unseen, ...] = ()
    wasted: tuple[Wasted, ...] = ()
    plan: Plan = field(default_factory=Plan)

    def without_score(self) -> tuple[Unseen, ...]:
        """Return the services that have series but no score, and the whole where nothing has one."""
        scored = {health.service for health in self.health}
        return tuple(one for one in self.unseen if one.service not in scored and one.total)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: what the HTTP API, `once --json` and the report share."""
        return {
            "at": self.at,
            "health": [health.as_dict() for health in self.health],
            "no_data": [unseen.as_dict() for unseen in self.unseen],
            "incidents": [incident.as_dict() for incident in self.incidents],
            "suspects": [{"service": one, "suspicion": suspicion} for one, suspicion in rank_services(self.incidents)],
            "findings": [finding.as_dict() for finding in self.findings],
            "recommendations": [recommendation.as_dict() for recommendation in self.recommendations],
            "changes": [change.as_dict() for change in self.changes],
            "capacity": self.plan.as_dict(),
            "failures": dict(self.failures),
            "series": self.series,
        }


class Store(Protocol):
    """The analyzer's memory across restarts. Every method may raise a StoreError."""

    def merge(
        self, recommendations: Sequence[Recommendation], at: float, watched: float | None = None
    ) -> tuple[Recommendation, ...]:
        """Store what a cycle recommends and return it with the state that each one has.

        `watched` counts the seconds since the last call in which the analyzer looked; None takes the clock.
        """

    def recommendations(self, state: str | None = None) -> tuple[Recommendation, ...]:
        """Return the stored recommendations, of one state if it is given, the most urgent first."""

    def decided(self, since: float) -> tuple[Recommendation, ...]:
        """Return the recommendations that were accepted, implemented or measured since a moment."""

    def conclude(
        self, identifier: str, step: str, measured: Mapping[str, Any] | None, at: float, reason: str = ""
    ) -> None:
        """Record the measured effect of an implemented recommendation, where there is one, and why it ended so."""

    def transition(self, identifier: str, step: str, at: float, effort_hours: float | None = None) -> Recommendation:
        """Move one recommendation on in its life; `effort_hours` is the work that a person expects of it."""

    def first_accepted(self) -> float | None:
        """Return when a recommendation was first accepted or implemented, in Unix seconds; None before."""

    def cost_baseline(self, since: float, currency: str) -> Baseline | None:
        """Return the cost of an hour with which later costs are compared, of a moment that was asked for."""

    def write_cost_baseline(self, baseline: Baseline) -> None:
        """Keep the cost of an hour with which later costs are compared."""

    def note_saving(self, identifier: str, saved: Mapping[str, Any]) -> None:
        """Keep what a recommendation was measured to save in a month."""

    def events(self, identifier: str) -> tuple[dict[str, Any], ...]:
        """Return every step in the life of a recommendation."""

    def write_findings(self, findings: Sequence[Finding], at: float) -> None:
        """Record the findings of a cycle."""

    def findings(self, since: float) -> Sequence[Any]:
        """Return the findings that held at or after a moment, each with its time span."""

    def memory(self) -> Memory:
        """Return the open episodes and incidents, as the last cycle left them."""

    def write_memory(self, memory: Memory) -> None:
        """Replace the open episodes and incidents."""

    def changes(self, since: float) -> tuple[Change, ...]:
        """Return the changes that were recorded since a moment, newest first."""

    def record_change(self, change: Change) -> None:
        """Record a change."""

    def record_proof(self, identifier: str, proof: Mapping[str, Any], at: float) -> Recommendation:
        """Keep the outcome of a recommendation's proof and return the recommendation."""

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Record seasonal profiles, by signal."""

    def baselines(self, since: float) -> dict[str, dict[str, Any]]:
        """Return the seasonal profiles that were recorded at or after a moment."""
