"""Watches for what planning needs: says which queries are due, keeps the answers, and makes the plan of a cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.planning.asks import STEP, WINDOW, Ask
from perfloop_analyzer.planning.capacity import assess
from perfloop_analyzer.planning.capacity.asked import CAPACITY_ASKS
from perfloop_analyzer.planning.costs.asked import COSTS
from perfloop_analyzer.planning.costs.bill import bill_of
from perfloop_analyzer.planning.plan import Plan, ServicePlan
from perfloop_analyzer.planning.scaling.asked import ASKS as SCALING_ASKS
from perfloop_analyzer.planning.scaling.replicas import Replicas
from perfloop_analyzer.planning.scaling.watch import ScalingWatch
from perfloop_analyzer.planning.situation import Situation
from perfloop_analyzer.planning.traffic import Stretch, TrafficWatch
from perfloop_analyzer.ports import Query
from perfloop_analyzer.series import service_of
from perfloop_base.durations import format_duration, parse_duration
from perfloop_base.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.planning.asks import Answers
    from perfloop_analyzer.planning.costs.bill import Bill
    from perfloop_analyzer.planning.traffic import Known
    from perfloop_analyzer.ports import Responses
    from perfloop_base.prices import Prices

# What is asked, each part's own (traffic keeps its own).
ASKS: tuple[Ask, ...] = (*CAPACITY_ASKS, COSTS, *SCALING_ASKS)
# An answer that is so many askings old says nothing of now: its figures are missing, with a note.
ASKINGS_UNTIL_STALE = 4.0


class PlanningWatch:
    """Knows the newest answers to what planning asks, and the plan that follows from them."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}
        self._answered: dict[str, tuple[float, Answers]] = {}
        self._failures: dict[str, Mapping[str, str]] = {}
        self._traffic = TrafficWatch()
        self._scaling = ScalingWatch()
        # What follows from answers that come once a minute; the number of replicas is computed more often.
        self._slow: dict[str, ServicePlan] = {}
        self._bill: tuple[Bill | None, tuple[str, ...]] = (None, ())
        self._is_new = True

    def due(self, at: float) -> tuple[Ask, ...]:
        """Return what is to be asked at a moment; a clock that was set back makes everything due."""
        often = (ask for ask in ASKS if not 0 <= at - self._asked.get(ask.name, float("-inf")) < ask.every)
        return (*often, *self._traffic.due(at))

    def note(self, ask: Ask, responses: Responses, at: float) -> None:
        """Keep the answers; where none came, those before are kept until they are too old."""
        self._asked[ask.name] = at
        self._failures[ask.name] = responses.failures
        self._is_new = self._is_new or ask not in SCALING_ASKS
        if isinstance(ask, Stretch):
            self._traffic.note(ask, responses.batches, at)
        elif responses.batches:
            self._answered[ask.name] = (at, responses.batches)

    def plan(
        self,
        catalog: Mapping[str, Signal],
        at: float,
        prices: Prices | None = None,
        scaling: Scaling | None = None,
    ) -> Plan:
        """Return the plan; it computes for up to seconds."""
        situation = Situation(self._fresh(at), catalog, at, prices, scaling or Scaling())
        failures = {name: reason for failed in self._failures.values() for name, reason in failed.items()}
        names = sorted({*_services(situation.answers), *self._scaling.services(situation)})
        if self._is_new or not self._slow.keys() >= set(names):
            self._bill = bill, _ = bill_of(situation)
            self._slow = {
                service: plan_service(service, situation, self._traffic.of(service, at), bill) for service in names
            }
            self._is_new = False
        services = tuple(self._with_replicas(self._slow[service], situation) for service in names)
        return Plan(at, services, (), failures, self._bill[0], notes=self._bill[1])

    def _with_replicas(self, plan: ServicePlan, situation: Situation) -> ServicePlan:
        found = self._scaling.replicas(plan.service, situation, plan.capacity)
        if isinstance(found, Replicas):
            return replace(plan, replicas=found)
        return replace(plan, notes=(*plan.notes, found))

    def _fresh(self, at: float) -> Answers:
        every = {ask.name: ask.every for ask in ASKS}
        return {
            name: batch
            for ask, (answered, batches) in self._answered.items()
            if at - answered < ASKINGS_UNTIL_STALE * every[ask]
            for name, batch in batches.items()
        }


def plan_service(service: str, situation: Situation, ahead: Known, bill: Bill | None = None) -> ServicePlan:
    """Return the plan of one service. Each part sets its field, or adds a note that says why it cannot."""
    found = assess(service, situation)
    return ServicePlan(
        service,
        rate=situation.newest("plan_rate", service),
        capacity=found.capacity,
        goals=found.goals,
        forecast=ahead.traffic,
        cost=bill.services.get(service) if bill else None,
        notes=(*found.notes, *ahead.notes, *(bill.notes.get(service, ()) if bill else ())),
    )


def queries_of(ask: Ask, window: str) -> list[Query]:
    """Return the queries of an ask; `window` is the usual rate window, such as `1m`."""
    longer = format_duration(max(ask.step, parse_duration(window)))
    return [Query(name, expr.replace(STEP, longer).replace(WINDOW, window)) for name, expr in ask.queries.items()]


def _services(answers: Answers) -> Iterator[str]:
    batch = answers.get("plan_rate")
    yield from sorted({service_of(labels) for labels in batch.labels} if batch else ())
