"""The capacity of one service: what a load test found if there was one, else what its live traffic shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.goals import check_goals
from perfloop_analyzer.planning.capacity.live import find_limits
from perfloop_analyzer.planning.capacity.model import LIVE_TRAFFIC, LOAD_TEST, Capacity, Objectives, ScaledCurve
from perfloop_analyzer.planning.capacity.tested import newest_test
from perfloop_analyzer.planning.capacity.traffic import read_traffic
from perfloop_analyzer.planning.capacity.wording import day_words, rate_words, resource_words, rounded
from perfloop_analyzer.planning.figures import Bounds

if TYPE_CHECKING:
    from perfloop_analyzer.planning.capacity.live import Found
    from perfloop_analyzer.planning.capacity.model import Goal
    from perfloop_analyzer.planning.capacity.tested import Tested
    from perfloop_analyzer.planning.capacity.traffic import Traffic
    from perfloop_analyzer.planning.situation import Situation

NO_TRAFFIC = "the capacity is not known: it serves no requests that are counted"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is known of the capacity, whether the goals are met, and why what is missing is missing."""

    capacity: Capacity | None
    goals: tuple[Goal, ...]
    notes: tuple[str, ...]


def assess(service: str, situation: Situation) -> Assessment:
    """Return the capacity of a service, with its goals and notes."""
    settings = situation.scaling.of(service)
    traffic = read_traffic(service, situation)
    if traffic is None:
        return Assessment(None, check_goals(None, None, settings), (NO_TRAFFIC,))
    limits, notes = find_limits(traffic, objectives_of(service, traffic, situation))
    tested = newest_test(service, situation)
    capacity = _of_test(tested, traffic, limits) if tested else _of_traffic(traffic, limits)
    if capacity is None:
        notes = [f"the capacity is not known: {'; '.join(notes)}"] if notes else []
    # With no replica nothing is carried now, which says nothing of the goals.
    judged = capacity if traffic.replicas else None
    return Assessment(capacity, check_goals(judged, traffic.total, settings), tuple(notes))


def objectives_of(service: str, traffic: Traffic, situation: Situation) -> Objectives:
    """Return the goals of p95 and errors, else their warnings: of responses, or of a language model's first token."""
    is_model = not np.isfinite(traffic.mean).any()
    p95 = situation.catalog.get("time_to_first_token_p95" if is_model else "api_response_time_p95")
    errors = situation.catalog.get("error_ratio")
    limits = [one.limit_of(service) if one else None for one in (p95, errors)]
    first, second = ((limit.goal or limit.warning) if limit else None for limit in limits)
    return Objectives(first, second)


def _of_test(tested: Tested, traffic: Traffic, limits: list[Found]) -> Capacity:
    """Return what a load test found, with the first limit and the course of response times from live traffic."""
    replicas = tested.replicas or max(traffic.replicas, 1)
    bounds = Bounds(tested.lower, tested.expected or tested.lower, tested.upper or float("inf"))
    per_replica = bounds.times(1.0 / replicas)
    first = limits[0] if limits else None
    curve = None
    if first is not None and first.curve is not None and first.bounds.expected > 0:
        curve = ScaledCurve(first.curve, per_replica.expected / first.bounds.expected)
    total = per_replica.times(traffic.replicas)
    source = f"by the load test {tested.test!r} of {day_words(tested.at)}"
    resource = first.resource if first else ""
    sentence = _sentence(traffic, per_replica, resource, source)
    return Capacity(traffic.total, per_replica, total, traffic.replicas, resource, LOAD_TEST, 1.0, curve, sentence)


def _of_traffic(traffic: Traffic, limits: list[Found]) -> Capacity | None:
    """Return the smallest of the limits that live traffic shows; None where it shows none."""
    if not limits or limits[0].bounds.expected <= 0:
        return None
    first = limits[0]
    curve = first.curve or next((one.curve for one in limits if one.curve is not None), None)
    total = first.bounds.times(traffic.replicas)
    highest = float(np.nanmax(traffic.rate))
    reach = first.bounds.expected / highest if highest > 0 else float("inf")
    source = "by live traffic"
    if reach > 1.0:
        source += f", extrapolated to {reach:.1f} times the highest rate of the last day"
    return Capacity(
        rate=traffic.total,
        per_replica=first.bounds,
        total=total,
        replicas=traffic.replicas,
        resource=first.resource,
        source=LIVE_TRAFFIC,
        reach=reach,
        curve=curve,
        sentence=_sentence(traffic, first.bounds, first.resource, source),
    )


def _sentence(traffic: Traffic, per_replica: Bounds, resource: str, source: str) -> str:
    """Return the capacity in words, for people."""
    if not traffic.replicas:
        return f"no replica serves requests now; one carries {rate_words(per_replica.expected)} ({source})"
    total, rate = per_replica.times(traffic.replicas), traffic.total
    if total.upper == float("inf"):
        now = f"you run at {rounded(rate)} requests/s; " if rate else "no requests come now; "
        return (
            f"{now}{rate_words(total.lower)} or more are carried, no rate that was tried broke a threshold ({source})"
        )
    limit = f"; {resource_words(resource)} is the first limit" if resource else "; what limits it first is not known"
    bounds = f"90% interval {rounded(total.lower)} to {rounded(total.upper)}, {source}"
    if not rate:
        return f"no requests come now; {rate_words(total.expected)} are carried{limit} ({bounds})"
    times = total.expected / rate
    headroom = f"{times:.1f} x headroom" if times >= 1 else "no headroom"
    return f"you run at {rounded(rate)} of {rate_words(total.expected)}: {headroom}{limit} ({bounds})"
