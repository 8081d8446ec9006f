"""Capacity from live traffic: the rate at which the first resource, or an objective, gives out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.demand import fit_demand, resample
from perfloop_analyzer.planning.capacity.observed import find_boundary, highest_kept
from perfloop_analyzer.planning.capacity.response import all_queueing, fit_response
from perfloop_analyzer.planning.capacity.scalability import Scalability, explain_scalability, peak_bounds
from perfloop_analyzer.planning.capacity.traffic import LABELS, RESOURCES
from perfloop_analyzer.planning.figures import Bounds, Refusal

if TYPE_CHECKING:
    from perfloop_analyzer.planning.capacity.model import Curve, Objectives
    from perfloop_analyzer.planning.capacity.traffic import Traffic
    from perfloop_analyzer.series import Floats

MOST_REACH = 10.0  # times the highest rate seen: nobody knows whether a line goes on so far
POINT_SECONDS = 60.0  # the shortest time that a point stands for
LEAST_TRAFFIC = 5  # points with requests: traffic that has just begun, or has stopped, shows nothing
MODEL_ERROR = 0.03  # requests of one hour are not those of the next, and a resource is no perfect queue
FALLEN = 0.95  # of the peak
BUSY = 0.6  # use from which on a resource explains that objectives break
RESPONSE, CONTENTION = "response_time", "contention"


@dataclass(frozen=True, slots=True)
class Found:
    """What one limit allows, in requests per second and replica; `resource` is its name as a label."""

    resource: str
    bounds: Bounds
    curve: Curve | None = None


def find_limits(traffic: Traffic, objectives: Objectives) -> tuple[list[Found], list[str]]:
    """Return what each known limit allows, the smallest first, and why others are not known."""
    served = np.isfinite(traffic.rate) & (traffic.rate > 0)
    if served.sum() < LEAST_TRAFFIC:
        return [], ["there was hardly any traffic in the last day: live traffic shows no capacity"]
    kept = _kept(traffic, objectives)
    judged = served & np.isfinite(kept)
    if judged.sum() >= LEAST_TRAFFIC and not kept[judged].any():
        return [], [f"no rate kept the objectives in the last day ({objectives.words}): it is not a matter of the load"]
    found, notes = [], []
    for name in traffic.uses:
        limit = _limit_of(name, traffic, objectives)
        if isinstance(limit, Refusal):
            notes.append(limit.reason)
        else:
            found.append(limit)
    if not traffic.uses:
        notes.append("no resource is known whose use could be compared with the rate")
    if judged.any() and (seen := find_boundary(traffic.rate[judged], kept[judged])) is not None:
        found.append(Found(_busiest(traffic, seen.expected), seen, next((one.curve for one in found), None)))
    found += _peak(traffic)
    floor = highest_kept(traffic.rate[judged], kept[judged]) if judged.any() else 0.0
    # What was carried can be carried: no model says otherwise.
    found = [Found(one.resource, _raised(one.bounds, floor), one.curve) for one in found]
    return sorted(found, key=lambda one: one.bounds.expected), notes


def _kept(traffic: Traffic, objectives: Objectives) -> Floats:
    """Return 1 where every objective was kept, 0 where one was broken, NaN where none is known."""
    known = np.zeros(len(traffic.rate), dtype=bool)
    broken = np.zeros(len(traffic.rate), dtype=bool)
    if objectives.p95_seconds is not None:
        known = np.isfinite(traffic.p95)
        broken = traffic.p95 > objectives.p95_seconds
    if objectives.error_ratio is not None:
        # Where responses are timed, a point without a time is not known to be good.
        known = known if known.any() else np.isfinite(traffic.errors)
        # One failed request of few is a large share: so many as two standard deviations and one more are luck.
        allowed = objectives.error_ratio * traffic.rate * POINT_SECONDS
        broken |= traffic.errors * traffic.rate * POINT_SECONDS > allowed + 2.0 * np.sqrt(allowed) + 1.0
    return np.where(known, np.where(broken, 0.0, 1.0), np.nan)


def _limit_of(name: str, traffic: Traffic, objectives: Objectives) -> Found | Refusal:
    """Return what a resource allows: where it is full, or where waiting for it breaks the response time's objective."""
    title, use = RESOURCES[name], traffic.uses[name]
    known = np.isfinite(traffic.rate) & np.isfinite(use)
    rate, use = traffic.rate[known], use[known]
    demand = fit_demand(rate, use, title)
    if isinstance(demand, Refusal):
        return demand
    drawn = resample(len(rate)).astype(int)
    p95 = traffic.p95[known]
    timed = np.isfinite(p95) & (rate > 0)
    # Points without requests have no response time: the median keeps the resamples of all points aligned.
    if timed.sum() < LEAST_TRAFFIC:
        times, limit = np.ones(len(rate)), None
    else:
        times, limit = np.where(timed, p95, np.median(p95[timed])), objectives.p95_seconds
    response = fit_response(rate, times, demand, traffic.sizes[name], drawn)
    expected, each = response.rates(limit)
    lower, upper = np.quantile(each, [0.05, 0.95])
    if limit is not None and not response.is_known:
        # It was never busy: how much of a response waits is not known, so that all of it may.
        cautious, _ = all_queueing(response, rate, times).rates(limit)
        lower = min(lower, cautious)
    if expected <= 0:
        return Refusal(f"{title}: responses take longer than the objective whatever the rate")
    if expected > MOST_REACH * demand.highest_rate:
        return Refusal(
            f"{title}: by its use {expected / demand.highest_rate:.0f} times the highest rate that was seen would be "
            f"possible; so far nothing can be said from live traffic, a load test can show it"
        )
    bounds = Bounds(min(float(lower), expected), expected, max(float(upper), expected))
    return Found(LABELS.get(name, name), bounds, response if limit is not None else None)


def _busiest(traffic: Traffic, rate: float) -> str:
    """Return the resource that was busiest near a rate, if busy enough to be the reason; else the response time."""
    near = np.isfinite(traffic.rate) & (np.abs(traffic.rate - rate) <= 0.2 * rate)
    uses = {name: float(np.nanmedian(use[near])) for name, use in traffic.uses.items() if np.isfinite(use[near]).any()}
    name = max(uses, key=lambda one: uses[one], default="")
    return LABELS.get(name, name) if name and uses[name] >= BUSY else RESPONSE


def _peak(traffic: Traffic) -> list[Found]:
    """Return the throughput at which more concurrent requests get no more answers, where the points show one."""
    # Little's law: as many requests are under way as arrive in the time that one takes.
    concurrent = traffic.rate * traffic.mean
    known = np.isfinite(concurrent) & (concurrent >= 1)
    law = explain_scalability(concurrent[known], traffic.rate[known])
    if not isinstance(law, Scalability):
        return []
    # Rates that only rise never overload a service: a fall beyond the peak must have been seen.
    beyond = traffic.rate[known][concurrent[known] > law.peak]
    if len(beyond) < LEAST_TRAFFIC or np.median(beyond) > FALLEN * law.throughput(law.peak):
        return []
    return [Found(CONTENTION, peak_bounds(law, concurrent[known], traffic.rate[known]))]


def _raised(bounds: Bounds, floor: float) -> Bounds:
    """Return bounds that are nowhere below what was carried, and no closer than any model is to a service."""
    expected = max(bounds.expected, floor)
    lower, upper = bounds.lower * (1.0 - MODEL_ERROR), bounds.upper * (1.0 + MODEL_ERROR)
    return Bounds(min(max(lower, floor), expected), expected, max(upper, expected * (1.0 + MODEL_ERROR)))
