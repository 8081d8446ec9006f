"""Expected improvements of what a service depends on: the time that it takes, and the work that it saves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.recommend.estimates import (
    Estimate,
    Level,
    Measured,
    Sides,
    UnknownGainError,
    level_now,
    level_of,
    positive,
    sides_of,
)
from perfloop_analyzer.recommend.gains import share_range
from perfloop_analyzer.recommend.recovery import fall_of, known_relief, observed, return_to_expected
from perfloop_analyzer.recommend.rules import Computation
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding

# The time of the queries and that of the requests are of one window, but not of the same requests: those that run over
# its ends. A share that is beyond 1 by more than that is of queries that run at the same time.
MOST_SHARE = 1.1
NOT_LESS = 0.05  # work that was less by no more than this is the same work


@dataclass(frozen=True, slots=True)
class _Request:
    """Per request, in seconds: what it takes, what its component takes, and how many operations that is."""

    latency: float
    busy: float
    operations: float

    @property
    def share(self) -> float:
        return min(self.busy / self.latency, 1.0)


def latency_share(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """Amdahl's law (1967) for one request: the component's time per request shrinks, the rest of the latency stays.

    It holds for operations one after the other. Operations at the same time overlap: their times add up to more than
    the request waits for them. Of q operations, as many as all may overlap, so that the cautious bound is 1/q of the
    share; where the window shows the latency before, what that rose by bounds it instead.

    Raises:
        UnknownGainError: The operations take longer than the requests that wait for them: they overlap.
    """
    request = _request(how, finding, measured)
    if request is None:
        return return_to_expected(Computation(method="return_to_expected"), finding, measured)
    if request.busy > MOST_SHARE * request.latency:
        raise UnknownGainError(
            f"the operations of {finding.component} run at the same time: together they take "
            f"{request.busy / request.latency:.3g} times as long as the requests that wait for them"
        )
    shown = _shown(how, finding, measured)
    if shown is not None:
        return shown
    cautious, full = fall_of(finding, measured)
    words = (
        f"{finding.component} takes {request.share:.0%} of the mean response time of {finding.service}; its own time "
        f"falls by {share_range(cautious, full)}, so the response time falls by {request.share * full:.0%} at best"
    )
    now, share = request.latency, request.share
    worst = now * (1 - share * cautious / max(request.operations, 1.0))
    best = now * (1 - share * full)
    return Estimate(how.metric or "api_latency_mean", now, best, best, worst, "latency_share", words)


def _request(how: Computation, finding: Finding, measured: Measured) -> _Request | None:
    names = (how.time, "request_rate", how.metric or "api_latency_mean")
    busy, rate, mean = (level_now(name, finding, measured) for name in names)
    if busy is None or rate is None or mean is None:
        return None
    calls = level_now(how.rate, finding, measured)
    requests = positive(rate, f"the request rate of {finding.service}")
    latency, time = positive(mean, "the mean response time"), positive(busy, f"the time of {finding.component}")
    return _Request(latency, time / requests, 1.0 if calls is None else calls / requests)


def _shown(how: Computation, finding: Finding, measured: Measured) -> Estimate | None:
    """Return the estimate of a window that shows the latency and the component's time before and since."""
    metric = how.metric or "api_latency_mean"
    latency, busy = sides_of(metric, finding, measured), _per(how.time, "request_rate", finding, measured)
    if latency is None or busy is None:
        return None
    saved = busy.after - busy.before
    law = latency.after - saved
    after, before = latency.after.mean, latency.before.mean
    words = (
        f"{finding.component} takes {min(busy.after.mean / after, 1):.0%} of the mean response time of "
        f"{finding.service}, {_milliseconds(saved)} more per request than before; the response time itself rose by "
        f"{_milliseconds(latency.after - latency.before)}"
    )
    back = observed(metric, latency, words)
    best, worst = (max(end, 0.0) for end in law.bounds())
    if back.best > worst:
        # The latency rose by less than the operations: some of them overlap, and the rise is all there is to gain.
        return Estimate(metric, after, before, back.best, back.worst, "latency_share", f"{words}: they overlap")
    then = max(law.mean, before)
    return Estimate(metric, after, then, min(best, back.best), max(worst, back.worst), "latency_share", words)


def _milliseconds(level: Level) -> str:
    return quantity(level.mean, "seconds")


def _per(work: str | None, rate: str | None, finding: Finding, measured: Measured) -> Sides | None:
    """Return what one request or lookup costs, before and since: the quotient of two signals, point by point."""
    top = measured.course(work, finding) if work else None
    bottom = measured.course(rate, finding) if rate else None
    if top is None or bottom is None:
        return None
    levels = []
    for one, other in ((top.before, bottom.before), (top.after, bottom.after)):
        if len(one) != len(other) or not (other > 0).all():
            return None
        levels.append(level_of(one / other))
    before, after = levels
    return None if before is None or after is None or after.mean <= 0 else Sides(before, after)


def cache_share(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """Misses cause work behind the cache: with misses m falling to m0, that part of it falls by 1 - m0 / m.

    All of the work is the optimistic bound. Each miss causes one operation at least, so that the cautious one is the
    misses' share of the operations. Where the window shows the work per lookup before, in time and in operations,
    these bound it instead: of slower operations the time rises, of others the number. Where neither rose, the misses
    cause no work that is seen, and the promise is the finding's own: its gap to 100 % closes.
    """
    metric = how.metric or "db_time_per_second"
    known_relief(finding)
    before, misses = 1.0 - finding.expected, 1.0 - finding.value
    lookups = level_now(how.rate, finding, measured)
    saved = "" if lookups is None else f", which saves {lookups * max(0.0, misses - before):.3g} loads per second"
    words = f"misses fall from {misses:.0%} to {before:.0%} of the lookups{saved}"
    now = level_now(metric, finding, measured)
    if now is None:
        raise UnknownGainError(f"{words}, but {metric.replace('_', ' ')} is not measured")
    now = positive(now, metric.replace("_", " "))
    cautious, full = fall_of(finding, measured)
    caused = _caused(how, finding, measured, None if lookups is None else lookups * misses)
    law = Estimate(metric, now, now * (1 - full), now * (1 - full), now * (1 - cautious * caused), "cache_share", words)
    sides = [_per(work, how.rate, finding, measured) for work in (metric, how.operations)]
    falls = [one.falls for one in sides if one is not None]
    if not falls:
        return law
    if max(least for least, _ in falls) <= min(most for _, most in falls):
        cautious = 1.0
    else:  # the operations became slower too: how much of their time is that of the misses is not seen
        cautious *= caused
    shares = [one.before.mean / one.after.mean for one in sides if one is not None]
    if min(shares) > 1 - NOT_LESS:
        words = f"{words}; what a lookup costs behind the cache is no more than before, so that the hits are the gain"
        return replace(return_to_expected(how.model_copy(update={"metric": None}), finding, measured), words=words)
    cautious = min(cautious, full, *(least for least, _ in falls))
    full = min(max(most for _, most in falls), full)
    words = f"{words}; per lookup, the work was {max(shares):.0%} of what it is"
    then = min(max(now * max(shares), now * (1 - full)), now * (1 - cautious))
    return replace(law, then=then, best=now * (1 - full), worst=now * (1 - cautious), words=words)


def _caused(how: Computation, finding: Finding, measured: Measured, misses: float | None) -> float:
    """Return the least share of the operations behind a cache that its misses cause, from 0 to 1."""
    operations = level_now(how.operations, finding, measured)
    return min(misses / operations, 1.0) if misses is not None and operations else 0.0
