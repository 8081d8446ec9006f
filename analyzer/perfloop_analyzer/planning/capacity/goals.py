"""The goals of a service's capacity: a multiple of the load now, and a rate. Each is met, not met, or not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.planning.capacity.model import LOAD_TEST, Capacity, Goal
from perfloop_analyzer.planning.capacity.wording import rate_words

if TYPE_CHECKING:
    from perfloop_base.scaling import ServiceScaling

SEEN = 1.05  # times the highest rate that was seen: so far it is no extrapolation


def check_goals(capacity: Capacity | None, rate: float | None, settings: ServiceScaling) -> tuple[Goal, ...]:
    """Return the goals; `rate` is the load now in requests per second, None or 0 where there is none."""
    named = [(f"{settings.goal_growth:g} x the load now", settings.goal_growth * rate)] if rate else []
    named.append((f"{settings.goal_requests_per_second:g} requests/s", settings.goal_requests_per_second))
    return tuple(_check(name, target, capacity) for name, target in named)


def _check(name: str, target: float, capacity: Capacity | None) -> Goal:
    if capacity is None:
        return Goal(name, target, "not shown", "the capacity is not known")
    lower, upper = capacity.total.lower, capacity.total.upper
    if upper < target:
        return Goal(name, target, "not met", f"the capacity is at most {rate_words(upper)}")
    if lower < target:
        bounds = f"between {rate_words(lower)} and {rate_words(upper)}" if capacity.is_bounded else rate_words(lower)
        least = "" if capacity.is_bounded else " or more"
        return Goal(name, target, "not shown", f"the capacity is {bounds}{least}: a load test at the goal can show it")
    if capacity.source != LOAD_TEST and capacity.reach > SEEN:
        so_far = f"extrapolated {capacity.reach:.1f} times beyond what was seen"
        return Goal(name, target, "not shown", f"the capacity is {so_far}: a load test at the goal can show it")
    return Goal(name, target, "met", f"the capacity is at least {rate_words(lower)}, by {capacity.source}")
