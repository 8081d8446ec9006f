"""Expected improvements of a repair: what was worse than before, or than its limit, returns there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.recommend.estimates import Estimate, Measured, Sides, UnknownGainError, positive, sides_of
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend.rules import Computation

LAST_BUCKET = 4  # equal points in a row: of a rate window each, so that real quantiles of requests differ


def relief(finding: Finding) -> tuple[float, float] | None:
    """Return the cautious and the optimistic share by which the signal falls; None where it cannot fall.

    The optimistic one is the return to the level before, the cautious one that to the limit, or half of the optimistic
    one where there is no limit. For a ratio that should be high, the share by which its complement to 1 falls.
    """
    value, expected, limit = finding.value, finding.expected, finding.limit
    if finding.direction == "below":
        value, expected = 1.0 - value, 1.0 - expected
        limit = None if limit is None else 1.0 - limit
    if not math.isfinite(value) or not math.isfinite(expected) or value <= 0 or expected < 0:
        return None
    full = max(0.0, min(1.0, 1.0 - expected / value))
    to_limit = full / 2 if limit is None or not math.isfinite(limit) else max(0.0, 1.0 - limit / value)
    return min(to_limit, full), max(to_limit, full)


def known_relief(finding: Finding) -> tuple[float, float]:
    """Return the relief.

    Raises:
        UnknownGainError: The signal has no value to fall from, or no known level to fall to.
    """
    bounds = relief(finding)
    if bounds is None:
        raise UnknownGainError(f"{finding.title} has no usable value now and before")
    return bounds


def return_to_expected(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """Return to the level before the finding: as measured in the window, else as the finding remembers it.

    With both levels in the window the bounds are those of their means; without, the cautious bound is the limit.
    """
    metric, below = how.metric or finding.signal, finding.direction == "below"
    if metric != finding.signal:
        sides = sides_of(metric, finding, measured)
        if sides is None:
            raise UnknownGainError(f"the window does not show {metric.replace('_', ' ')} before it began")
        return observed(metric, sides, f"{metric.replace('_', ' ')} returns to its level before")
    words, now, (cautious, full) = _words(finding), _gap(finding, finding.value), known_relief(finding)
    sides = sides_of(metric, finding, measured, gap=below)
    if sides is None:
        then, worst = now * (1 - full), now * (1 - cautious)
        best = now * (1 - fall_of(finding, measured)[1])
        estimate = Estimate(metric, now, then, best, worst, "return_to_expected", words)
    else:
        # A season knows the level of this time of day, a median that of a skewed signal: both count.
        back, known = observed(metric, sides, words), _gap(finding, finding.expected)
        estimate = replace(back, best=min(back.best, known), worst=max(back.worst, known))
    return _cut_off(estimate, finding, measured)


def _is_mixed(finding: Finding, measured: Measured) -> bool:
    """Return whether all that the window shows from before are points that already see the trouble."""
    course = measured.course(finding.signal, finding)
    return course is not None and not len(course.before) and finding.onset > finding.window[0]


def fall_of(finding: Finding, measured: Measured) -> tuple[float, float]:
    """Return by which share the finding's signal falls at least and at most when it returns.

    Raises:
        UnknownGainError: The signal has no value to fall from, or no known level to fall to.
    """
    sides = sides_of(finding.signal, finding, measured, gap=finding.direction == "below")
    if sides is not None:
        return sides.falls
    cautious, full = known_relief(finding)
    return cautious, 1.0 if _is_mixed(finding, measured) else full


def observed(metric: str, sides: Sides, words: str) -> Estimate:
    """Return the return of a metric to its level before, as both are measured."""
    (cautious, full), now = sides.falls, sides.after.mean
    best, worst = now * (1 - full), now * (1 - cautious)
    return Estimate(metric, now, sides.before.mean, best, worst, "return_to_expected", words)


def _cut_off(estimate: Estimate, finding: Finding, measured: Measured) -> Estimate:
    """Mark an estimate whose signal stands at the end of its last bucket: how far it is beyond cannot be measured."""
    course = measured.course(finding.signal, finding) if "histogram_quantile" in finding.expr else None
    newest = course.after[-LAST_BUCKET:] if course is not None else ()
    if len(newest) < LAST_BUCKET or len(set(newest)) > 1:
        return estimate
    words = f"{estimate.words}; at least: the value is cut off at the largest bucket"
    return replace(estimate, words=words, is_cut_off=True)


def _gap(finding: Finding, value: float) -> float:
    """Return what should become less: the value, or where more is better its gap to 1."""
    return 1.0 - value if finding.direction == "below" else value


def _words(finding: Finding) -> str:
    now, then = quantity(finding.value, finding.unit), quantity(finding.expected, finding.unit)
    before = "its limit" if finding.has_no_baseline else "was"
    return f"{finding.title} is {now}, {before} {then}: {_way_back(finding, known_relief(finding))}"


def _way_back(finding: Finding, bounds: tuple[float, float]) -> str:
    """Return what the return brings; of a limit only where there is one that is another goal than the level before."""
    less = "closes its gap to 100% by" if finding.direction == "below" else "reduces it by"
    if finding.has_no_baseline:
        return f"returning to the limit {less} {bounds[1]:.0%}"
    to_limit = f"{bounds[0]:.0%}"
    is_other = finding.limit is not None and to_limit not in ("0%", f"{bounds[1]:.0%}")
    return f"returning to that {less} {bounds[1]:.0%}" + (f", to the limit by {to_limit}" if is_other else "")


def restore(how: Computation, finding: Finding, measured: Measured) -> Estimate:
    """Every target of the service answers again: the whole gap of its availability closes."""
    del how, measured
    share = positive(1.0 - finding.value, f"the share of {finding.service} that does not answer")
    words = f"{quantity(share, 'ratio')} of the targets of {finding.service} do not answer: all of them do again"
    return Estimate(finding.signal, share, 0.0, 0.0, 0.0, "restore", words)
