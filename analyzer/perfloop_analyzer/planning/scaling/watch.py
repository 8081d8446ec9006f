"""Watches the load of each service and says how many replicas it should have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.scaling.ahead import load_ahead
from perfloop_analyzer.planning.scaling.asked import STEP_SECONDS
from perfloop_analyzer.planning.scaling.needs import Demand, Fleet, find_needs
from perfloop_analyzer.planning.scaling.policy import LONGEST_GAP, Seen, State, decide
from perfloop_analyzer.planning.scaling.replicas import REQUESTS, TOKENS, Replicas
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from perfloop_analyzer.planning.capacity import Capacity
    from perfloop_analyzer.planning.scaling.ahead import Ahead
    from perfloop_analyzer.planning.situation import Situation
    from perfloop_analyzer.series import Floats
    from perfloop_base.scaling import ServiceScaling

LATE_SECONDS = 30.0  # until what happens is seen and the answer is acted on: two scrapes and an asking
TARGET = 0.7  # of what a full model server serves, where no load test says how much keeps the objectives
HALVINGS = 30
FAR = 16.0  # times the capacity: where responses are still finite there, it is not known when a replica is full
# Services that are known by one of these have something that says how many replicas they need.
LISTED = ("scale_requests", "scale_arrivals")
NOT_KNOWN = "no number of replicas: {}"


class ScalingWatch:
    """Keeps the policy's state of each service."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def services(self, situation: Situation) -> set[str]:
        """Return the services to plan for: those with load, and those whose last answer still stands."""
        listed = {
            service_of(labels)
            for name in LISTED
            if (batch := situation.answers.get(name)) is not None
            for labels in batch.labels
        }
        return listed | set(self._states)

    def replicas(self, service: str, situation: Situation, capacity: Capacity | None) -> Replicas | str:
        """Return how many replicas a service should have, or one sentence that says why that is not known."""
        settings = situation.scaling.of(service)
        fleet, unit = _fleet(service, situation, capacity)
        ahead = _ahead(service, situation, settings, unit)
        demand = _demand(service, situation, ahead, _request(service, situation, unit))
        needs = find_needs(demand, fleet, settings.drain, settings.tolerance)
        seen = Seen(situation.at, demand.replicas, idle=demand.is_idle)
        decision, state = decide(needs, seen, settings, self._states.get(service, State()))
        self._states.pop(service, None)
        if decision.replicas is None:
            return NOT_KNOWN.format(_why(demand, fleet))
        self._states[service] = state
        return Replicas(decision.replicas, decision, settings, demand.replicas, ahead, unit, fleet)


def _why(demand: Demand, fleet: Fleet | None) -> str:
    if demand.now is None:
        return "its load is not known now, or since less than two minutes"
    if fleet is None:
        return "it is not known what one replica carries, and nothing else says how many are needed"
    return "data are missing"


def _ahead(service: str, situation: Situation, settings: ServiceScaling, unit: str) -> Ahead | None:
    """Return the load until a replica that is asked for now answers; None where it is not known."""
    rates = _course("scale_requests", service, situation) if unit == REQUESTS else None
    if rates is None:
        rates = _course("scale_arrivals", service, situation)
    request = _request(service, situation, unit)
    if rates is None or request is None:
        return None
    return load_ahead(rates * request, STEP_SECONDS, settings.startup + LATE_SECONDS, settings.confidence)


def _request(service: str, situation: Situation, unit: str) -> float | None:
    """Return how much load a request is; None where it is counted in tokens and their number is not known."""
    return situation.newest("scale_request_tokens", service) if unit == TOKENS else 1.0


def _course(name: str, service: str, situation: Situation) -> Floats | None:
    """Return the load of the last hours; None where its newest point is no longer now."""
    batch = situation.answers.get(name)
    if batch is None or situation.at - batch.grid.end > LONGEST_GAP:
        return None
    return situation.course(name, service)


def _demand(service: str, situation: Situation, ahead: Ahead | None, request: float | None) -> Demand:
    def newest(name: str) -> float | None:
        return situation.newest(name, service)

    replicas, each = newest("scale_replicas"), situation.answers.get("scale_cores_each")
    cores = float(np.nanmax(each.values[:, -1])) if each is not None and np.isfinite(each.values[:, -1]).any() else None
    return Demand(
        load=None if ahead is None else ahead.upper,
        now=None if ahead is None else ahead.now,
        waiting=newest("scale_waiting"),
        running=newest("scale_running"),
        request=1.0 if request is None else request,
        cache_used=newest("scale_cache"),
        cores_used=newest("scale_cores_used"),
        cores_each=cores,
        replicas=None if replicas is None else round(replicas),
    )


def _fleet(service: str, situation: Situation, capacity: Capacity | None) -> tuple[Fleet | None, str]:
    """Return what replicas carry and in what unit: by the measured capacity, else by the tokens of full servers."""
    if capacity is not None and capacity.per_replica.lower > 0:
        return fleet_of(capacity), REQUESTS
    full = situation.newest("scale_full_tokens", service)
    if full:
        return Fleet(TARGET * full, full, measured_at=1), TOKENS
    return None, TOKENS if situation.newest("scale_running", service) is not None else REQUESTS


def fleet_of(capacity: Capacity) -> Fleet:
    """Return what replicas carry by a measured capacity; its lower bound where it lies beyond all that was seen."""
    bounds = capacity.per_replica
    within = bounds.expected if capacity.reach <= 1 else bounds.lower
    return Fleet(within, _full(capacity, within), max(capacity.replicas, 1))


def _full(capacity: Capacity, within: float) -> float | None:
    """Return the rate per replica from which on responses take for ever; None where the curve does not say."""

    def is_full(rate: float) -> bool:
        latency = capacity.latency_at(rate)
        return latency is not None and math.isinf(latency)

    low, high = within, FAR * within
    if is_full(low) or not is_full(high):
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_full(middle) else (middle, high)
    return high
