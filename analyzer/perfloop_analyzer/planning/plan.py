"""The plan: for each service its capacity, forecast, replicas and cost, or why one of them is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_analyzer.planning.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_analyzer.planning.capacity.model import Capacity, Goal
    from perfloop_analyzer.planning.costs.bill import Bill
    from perfloop_analyzer.planning.costs.progress import Progress
    from perfloop_analyzer.planning.scaling.replicas import Replicas


class Part(Protocol):
    """What a part of planning found out about one service."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""

    def figures(self, service: str) -> Iterator[Figure]:
        """Yield what is published of it."""


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What is known of one service.

    Attributes:
        rate: Requests per second now; None where nothing serves requests.
        capacity, forecast, replicas, cost: Each None where the data carry none; `notes` say why.
        goals: The rates that it shall be able to carry, and whether it is shown that it can.
        notes: One sentence for each figure that is missing, or that needs a warning.
    """

    service: str
    rate: float | None = None
    capacity: Capacity | None = None
    forecast: Part | None = None
    replicas: Replicas | None = None
    cost: Part | None = None
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Yield each part that is known, with its name."""
        for name in ("capacity", "forecast", "replicas", "cost"):
            if (part := getattr(self, name)) is not None:
                yield name, part

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        known = {name: part.as_dict() for name, part in self.parts()}
        goals = [goal.as_dict() for goal in self.goals]
        return {"service": self.service, "rate": self.rate, **known, "goals": goals, "notes": list(self.notes)}

    def figures(self) -> Iterator[Figure]:
        """Yield what is published of the service."""
        for _, part in self.parts():
            yield from part.figures(self.service)
        for goal in self.goals:
            yield Figure("capacity_goal_info", {"service": self.service, "goal": goal.name, "state": goal.state}, 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of all services; `at` is when it was made, in Unix seconds, None before the first.

    Attributes:
        figures_of_all: What is published of no service alone, such as sums of money.
        bill: What everything costs; None where no cost is known.
        progress: Where the goal of saving stands; None where no cost is known.
        notes: One sentence for each thing that is missing, and of no service alone.
        failures: For each query that was not answered, one sentence with the reason.
    """

    at: float | None = None
    services: tuple[ServicePlan, ...] = ()
    figures_of_all: tuple[Figure, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    bill: Bill | None = None
    progress: Progress | None = None
    notes: tuple[str, ...] = ()

    def of(self, service: str) -> ServicePlan | None:
        """Return the plan of a service."""
        return next((one for one in self.services if one.service == service), None)

    def figures(self) -> Iterator[Figure]:
        """Yield everything that is published."""
        for one in self.services:
            yield from one.figures()
        yield from self.figures_of_all
        if self.bill is not None:
            yield from self.bill.figures()
        if self.progress is not None:
            yield from self.progress.figures()

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: what `GET /api/v1/capacity` answers."""
        return {
            "planned_at": self.at,
            "services": [one.as_dict() for one in self.services],
            "cost": self.bill.as_dict() if self.bill else None,
            "saving": self.progress.as_dict() if self.progress else None,
            "notes": list(self.notes),
            "not_answered": dict(self.failures),
        }
