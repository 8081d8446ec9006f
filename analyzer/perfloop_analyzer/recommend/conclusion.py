"""What becomes of an implemented recommendation: validated, refuted, confounded, healed, or inconclusive, and why.

The comparison is looked at after 10, 20 and 40 windows, and each look has its own share of the chance of a false gain,
so that all together keep it (Bonferroni; Armitage, McPherson & Rowe, JRSS A 132, 1969, on what looking costs). The
first look that is sure concludes. A gain counts for the change only when

- the trouble stood when the change was made, and fell with it, not before or long after;
- the load did not fall enough to bring as much, by the response time of an M/M/1 server at 70% use, and rose no more
  than faster answers let the same callers ask (Little's law);
- the other services, where the trouble was not, did not improve by as much at the same time;
- the metric did not fall alike at the same hour a week or a day before, where there is history of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.recommend.gains import share_range
from perfloop_analyzer.recommend.validation import (
    CHANCE,
    FIRST_LOOK,
    LATER_LOOK,
    LEAST_AFTER,
    LEAST_BEFORE,
    LEAST_GAIN,
    Course,
    Verdict,
    judge,
    weigh_places,
)
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.series import Floats

# Windows after the change, each with the chance of a false gain that this look may take.
LOOKS = ((LEAST_AFTER, FIRST_LOOK), (2 * LEAST_AFTER, LATER_LOOK), (4 * LEAST_AFTER, LATER_LOOK))
LONGEST_LOOK = LOOKS[-1][0]
MARKED_LATE = 2  # windows: a person applies a change and marks it a moment later
ACTS_LATE = 4  # windows: a fall that comes later did not come with the change
STALE = 3.0  # windows between the last sight of the trouble and the change, after which it may have been over
FORGOTTEN = 30.0  # windows after which nothing of the trouble is among those before the change
SURE = math.log(20.0)  # strong evidence (Kass & Raftery, JASA 90, 1995)
USUAL_USE = 0.7
QUARTER = 0.25
LOAD_ROSE = 1.1  # of what the gain itself explains
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Observed:
    """What was measured around a change.

    Attributes:
        metric: What should have fallen.
        load: The requests per second of the same service; None where they are not measured.
        others: The same metric of other services, by service.
        earlier: The same metric at the same hours earlier, by how long before, in words.
    """

    metric: Course
    load: Course | None
    others: Mapping[str, Course]
    earlier: Mapping[str, Course] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        title: The metric's name for people.
        above: Whether high values are bad.
        window: The rate window in seconds.
        unseen: Seconds from the last sight of the trouble to the change.
        passed: Seconds from the change to now.
        promised: The least gain that was expected; 0 where none was.
    """

    title: str
    above: bool
    window: float
    unseen: float
    passed: float
    promised: float = 0.0


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The step that a recommendation takes, a sentence that says why, and the measured gain where there is one."""

    step: str
    words: str
    verdict: Verdict | None = None


def conclude_without_data(question: Question, windows: int) -> Conclusion | None:
    """Return what can be said at once, of trouble that had stood for so many whole windows at the change."""
    if windows < LEAST_BEFORE:
        needed = span(LEAST_BEFORE * question.window)
        return Conclusion("give_up", f"it had stood for less than {needed} at the change: too short to compare with")
    if question.unseen > FORGOTTEN * question.window:
        return _healed(question.unseen)
    return None


def conclude(question: Question, observed: Observed) -> Conclusion | None:
    """Return what can be said now; None while it is too early."""
    held = np.isfinite(observed.metric.before).sum()
    for points, chance in LOOKS:
        seen = observed.metric.first(points)
        if seen is None or held < LEAST_BEFORE:
            return _without_data(question)
        found = _look(question, observed, seen, chance, is_last=points == LONGEST_LOOK)
        if found:
            return found
    return None


def _without_data(question: Question) -> Conclusion | None:
    if question.passed <= DAY:
        return None
    return Conclusion("give_up", f"{question.title} has too few values around the change, a day after it")


def _look(question: Question, observed: Observed, seen: Course, chance: float, *, is_last: bool) -> Conclusion | None:
    places = weigh_places(seen, above=question.above)
    if over := _was_over(question, seen, places) or _acted_late(question, seen, places):
        return over
    marked = _as_it_acted(seen, places)
    verdict = judge(marked.before, marked.after, above=question.above, normal=marked.normal, chance=chance)
    if verdict is None:
        return Conclusion("give_up", f"{question.title} leaves nothing to compare: it was 0 before the change")
    if verdict.holds:
        # More of a fall may have come later than with the change; the next look shows it.
        is_early = not is_last and _odds(places, _late(places)) > 0
        return None if is_early else _explain(question, observed, verdict, chance, seen)
    # With a small gain in sight it is worth to wait for the last look.
    is_less = verdict.high < question.promised and (is_last or verdict.gain < LEAST_GAIN)
    if verdict.is_nothing or is_less:
        reason = _load_hides(observed, chance)
        return Conclusion("confound" if reason else "refute", reason or _in_words(verdict, seen), verdict)
    if not is_last:
        return None
    words = f"{_in_words(verdict, seen)}: it varies too much by itself, and longer would not help"
    return Conclusion("give_up", words, verdict)


def _explain(question: Question, observed: Observed, verdict: Verdict, chance: float, seen: Course) -> Conclusion:
    """Return whether a gain is the change's, or what else may have brought it."""
    reason = _load_explains(observed, verdict, chance, above=question.above)
    reason = reason or _others_moved(question, observed, verdict, len(seen.after))
    reason = reason or _falls_by_itself(question, observed, verdict, len(seen.after))
    return Conclusion("confound" if reason else "validate", reason or _in_words(verdict, seen), verdict)


def _in_words(verdict: Verdict, seen: Course) -> str:
    points = int(np.isfinite(seen.after).sum())
    return f"{share_range(-verdict.low, -verdict.high)} after {points} windows"


def _was_over(question: Question, seen: Course, places: Mapping[int, float]) -> Conclusion | None:
    """Return the conclusion that the trouble ended before the change, where the metric fell by then."""
    is_stale = question.unseen > STALE * question.window
    earlier = {place: weight for place, weight in places.items() if place < (0 if is_stale else -MARKED_LATE)}
    if not earlier:
        return _healed(question.unseen) if is_stale else None
    if _odds(places, earlier) <= (0.0 if is_stale else SURE):
        return None
    best = max(earlier, key=lambda place: earlier[place])
    moved = seen.moved(best)
    verdict = judge(moved.before, moved.after, above=question.above)
    if verdict is None or not (verdict.holds or (is_stale and verdict.gain > 0)):
        return None
    return _healed(-best * question.window)


def _healed(before: float) -> Conclusion:
    return Conclusion("heal", f"it was over {span(before)} before it was marked as implemented")


def _odds(places: Mapping[int, float], elsewhere: Mapping[int, float]) -> float:
    """Return the log odds of a step elsewhere, every place alike, against one at the change."""
    if not elsewhere:
        return -math.inf
    weights = np.array(list(elsewhere.values()))
    return float(np.logaddexp.reduce(weights) - math.log(len(weights)) - places.get(0, -math.inf))


def _as_it_acted(seen: Course, places: Mapping[int, float]) -> Course:
    """Return the course with the change where it clearly acted, when it was marked a moment later."""
    near = {place: weight for place, weight in places.items() if -MARKED_LATE <= place < 0}
    if _odds(places, near) <= SURE:
        return seen
    return seen.moved(max(near, key=lambda place: near[place]))


def _late(places: Mapping[int, float]) -> Mapping[int, float]:
    return {place: weight for place, weight in places.items() if place >= ACTS_LATE}


def _acted_late(question: Question, seen: Course, places: Mapping[int, float]) -> Conclusion | None:
    """Return the conclusion that the metric fell too long after the change; None until enough points are there."""
    late = _late(places)
    if _odds(places, late) <= SURE:
        return None
    best = max(late, key=lambda place: late[place])
    moved = seen.moved(best)
    verdict = judge(moved.before, moved.after, above=question.above)
    if verdict is None or not verdict.holds:
        return None
    after = span((best + 1) * question.window)
    words = f"it fell {after} after the change, not with it: something else may have ended it"
    return Conclusion("confound", words, verdict)


def _load_explains(observed: Observed, verdict: Verdict, chance: float, *, above: bool) -> str:
    """Return why the load may have brought the gain; empty where it did not."""
    moved = _judge_load(observed, chance)
    if moved is None:
        return ""
    if moved.low > 0:
        # An M/M/1 server's response time is in proportion to 1 / (1 - use).
        brought = 1.0 - (1.0 - USUAL_USE) / (1.0 - USUAL_USE * (1.0 - moved.gain))
        return f"{_load_words(moved)} at the same time" if brought >= verdict.gain / 2 else ""
    most = LOAD_ROSE if not above else LOAD_ROSE / max(1.0 - verdict.gain, 0.01)
    return f"{_load_words(moved)} at the same time" if moved.high < 0 and 1.0 - moved.gain > most else ""


def _load_hides(observed: Observed, chance: float) -> str:
    """Return why more load may have hidden a gain; empty where there was none."""
    moved = _judge_load(observed, chance)
    if moved is None or moved.high >= 0 or 1.0 - moved.gain <= LOAD_ROSE:
        return ""
    return f"{_load_words(moved)} at the same time, and may have hidden a gain"


def _judge_load(observed: Observed, chance: float) -> Verdict | None:
    load = observed.load
    return None if load is None else judge(load.before, load.after, above=True, normal=load.normal, chance=chance)


def _load_words(moved: Verdict) -> str:
    return f"requests per second went {'down' if moved.gain > 0 else 'up'} by {abs(moved.gain):.0%}"


def _others_moved(question: Question, observed: Observed, verdict: Verdict, points: int) -> str:
    """Return which other services improved alike; empty where most that had no trouble did not."""
    alike, calm = [], 0
    for service, course in observed.others.items():
        if not _was_calm(course, verdict.gain, above=question.above):
            continue
        calm += 1
        # Each service is one more chance to be alike.
        chance = CHANCE / len(observed.others)
        moved = judge(course.before, course.after[:points], above=question.above, normal=course.normal, chance=chance)
        if moved and moved.low > 0 and moved.gain >= max(verdict.gain / 2, LEAST_GAIN):
            alike.append(service)
    if 2 * len(alike) <= calm:
        return ""
    return f"{question.title} of {', '.join(alike)} improved as well, where nothing was wrong"


def _falls_by_itself(question: Question, observed: Observed, verdict: Verdict, points: int) -> str:
    """Return when the metric fell alike at this hour without the change; empty where it did not.

    No job ends at the same second every day, so that a step is not looked for: most of what was before must be above
    most of what was after, by half of the gain. It is a reason for doubt, and needs no more than that.
    """
    for words, course in observed.earlier.items():
        before, after = (
            _bad(span[np.isfinite(span)], above=question.above) for span in (course.before, course.after[:points])
        )
        if min(len(before), len(after)) < LEAST_BEFORE or np.median(before) <= 0:
            continue
        fell = 1.0 - float(np.median(after) / np.median(before))
        if fell >= max(verdict.gain / 2, LEAST_GAIN) and np.quantile(before, QUARTER) > np.quantile(
            after, 1.0 - QUARTER
        ):
            return f"{question.title} fell by {fell:.0%} at the same hour {words} before, without the change"
    return ""


def _bad(values: Floats, *, above: bool) -> Floats:
    """Return what should be low: of a ratio that should be high its gap to 1."""
    return values if above else 1.0 - values


def _was_calm(course: Course, gain: float, *, above: bool) -> bool:
    """Return whether a service did not rise with the trouble: what did is its victim, and recovers with it."""
    normal, before = (span[np.isfinite(span)] for span in (course.normal, course.before))
    if not len(normal) or not len(before):
        return False
    usual, then = float(np.median(normal)), float(np.median(before))
    if not above:
        usual, then = 1.0 - usual, 1.0 - then
    return then * (1.0 - gain / 2) <= usual
