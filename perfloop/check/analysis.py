"""What the analyzer says: that it works, which recommendations wait, and how much more load the service can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import RootModel

from perfloop.check import advice
from perfloop.check.asking import Answer
from perfloop.check.findings import UnansweredError, failed, passed, unknown
from perfloop.check.sources import in_words
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources

_UNDONE = frozenset({"open", "accepted"})  # its change is not made yet
_KNOWN = "known"
_ALL = "overall"  # the score of all services together
_GROWTH = "x the load now"  # how the analyzer names the goal of growth


class _Database(Answer):
    writable: bool = True
    problem: str | None = None


class _Health(Answer):
    service: str


class HealthAnswer(Answer):
    """What `/api/v1/health` answers."""

    status: str
    age_seconds: float
    health: list[_Health]
    state: _Database = _Database()


class Recommended(Answer):
    """One recommendation of `/api/v1/recommendations`."""

    id: str
    title: str
    service: str
    priority: str
    state: str
    updated: float


class RecommendationsAnswer(RootModel[list[Recommended]]):
    """What `/api/v1/recommendations` answers."""


class _Goal(Answer):
    goal: str
    state: str
    words: str


class _Capacity(Answer):
    words: str


class _Plan(Answer):
    service: str
    capacity: _Capacity | None = None
    goals: tuple[_Goal, ...] = ()
    notes: tuple[str, ...] = ()


class CapacityAnswer(Answer):
    """What `/api/v1/capacity` answers."""

    stale: bool
    services: list[_Plan]


def look_at_analyzer(sources: Sources) -> Iterator[Finding]:
    """The analyzer has a result that describes the present, and can keep what it learns."""
    health = _health(sources)
    if health.status != _KNOWN:
        age = f"its last result is {span(health.age_seconds)} old"
        yield failed(f"the analyzer's result is {health.status}: {age}", advice.READ_ANALYZER)
    elif not health.state.writable:
        why = health.state.problem or "the reason is in its log"
        yield failed(f"the analyzer cannot write its database: {why}", advice.READ_ANALYZER)
    else:
        seen = sorted({one.service for one in health.health} - {_ALL})
        service = sources.config.service
        words = f"its result is {span(health.age_seconds)} old; it sees {', '.join(seen) or 'no service'}"
        known = bool(seen) and (not service or service in seen)
        yield passed(words) if known else failed(words, advice.ADD_TARGET)


def look_at_critical(sources: Sources) -> Iterator[Finding]:
    """No recommendation of critical priority waits for its change."""
    waiting = [one for one in _recommendations(sources) if one.priority == "critical" and one.state in _UNDONE]
    if waiting:
        named = in_words([f"{one.title} ({one.service}, {one.state}, {one.id})" for one in waiting])
        yield failed(f"not implemented: {named}", advice.IMPLEMENT)
    else:
        yield passed("no critical recommendation is open")


def look_at_progress(sources: Sources) -> Iterator[Finding]:
    """No recommendation waits for a decision for too long."""
    found = _recommendations(sources)
    waiting = [one for one in found if one.state in _UNDONE]
    longest = sources.config.progress_age
    old = [one for one in waiting if sources.now - one.updated > longest]
    if old:
        named = in_words([f"{one.title} ({one.service}, {span(sources.now - one.updated)}, {one.id})" for one in old])
        yield failed(f"waiting longer than {span(longest)}: {named}", advice.IMPLEMENT)
    else:
        decided = len(found) - len(waiting)
        yield passed(f"waiting: {len(waiting)}, none longer than {span(longest)}; decided: {decided}")


def look_at_headroom(sources: Sources) -> Iterator[Finding]:
    """Each service can carry the multiple of its load now that scaling.yml asks for: a line each."""
    answer = sources.answer(CapacityAnswer, "analyzer", "/api/v1/capacity")
    if answer.stale:
        raise UnansweredError("the analyzer's result is stale: what it says of capacity is of the past")
    plans = {one.service: one for one in answer.services}
    for service in sources.services:
        yield _headroom(service, plans.get(service))
    if not sources.services:
        yield unknown("no service publishes requests, so no headroom is known", advice.ADD_TARGET)


def _headroom(service: str, plan: _Plan | None) -> Finding:
    """Return whether the goal of growth is met, which the analyzer judges by the bounds of the capacity."""
    goal = next((one for one in plan.goals if one.goal.endswith(_GROWTH)), None) if plan else None
    if plan is None or plan.capacity is None or goal is None:
        notes = plan.notes if plan else ()
        why = in_words(notes, 1) if notes else f"the analyzer knows no capacity of {service}, or no load"
        return unknown(why, advice.FIND_LIMIT, of=service)
    words = f"{goal.goal} is {goal.state}: {goal.words}; {plan.capacity.words}"
    if goal.state == "met":
        return passed(words, of=service)
    return (failed if goal.state == "not met" else unknown)(words, advice.FIND_LIMIT, of=service)


def _health(sources: Sources) -> HealthAnswer:
    return sources.answer(HealthAnswer, "analyzer", "/api/v1/health")


def _recommendations(sources: Sources) -> Sequence[Recommended]:
    """Return the recommendations that count; those of an analyzer that sees nothing say nothing.

    Raises:
        UnansweredError: The analyzer does not answer, or its result does not describe the present.
    """
    health = _health(sources)
    if health.status != _KNOWN:
        raise UnansweredError(f"the analyzer's result is {health.status}: what it would recommend now is not known")
    found = sources.answer(RecommendationsAnswer, "analyzer", "/api/v1/recommendations").root
    service = sources.config.service
    return [one for one in found if not service or one.service == service]
