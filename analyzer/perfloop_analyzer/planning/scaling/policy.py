"""The policy: from what each reason asks for to one number of replicas that does not flap.

Up at once (after `up_window`), down slowly: fewer are asked for only when fewer were enough, tolerance included, during
the whole `down_window`. After it went up, the answer therefore goes down no sooner than `down_window` later: within a
time T it changes its direction at most 2 T / down_window + 1 times, whatever the load does.

Missing data change nothing: a reason without data keeps asking for what it asked last, for `hold` seconds; when
no reason has data, the last answer stands for as long, and then there is none.

Pure: the state goes in and comes out, and time is an argument, so that a simulation runs what the service runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.planning.scaling.needs import Need
    from perfloop_base.scaling import ServiceScaling

LONGEST_GAP = 150.0  # seconds between two moments with data, beyond which it is not known what was needed between them
# What decided, beside the reasons of the needs.
MIN, MAX, IDLE, HELD, DOWN_WINDOW = "min", "max", "idle", "held", "down_window"


class Seen(NamedTuple):
    """What is seen of a service at a moment.

    Attributes:
        at: In Unix seconds.
        replicas: The replicas that answer; None where that is not known.
        idle: Whether it is known that nothing comes and nothing waits.
    """

    at: float
    replicas: int | None = None
    idle: bool = False


class Wanted(NamedTuple):
    """What was needed at a moment, in Unix seconds; `ample` with the tolerance."""

    at: float
    wanted: int
    ample: int


class Asked(NamedTuple):
    """What a reason asked for last, and when."""

    at: float
    need: Need


@dataclass(frozen=True, slots=True)
class State:
    """What the policy remembers of a service.

    Attributes:
        answer: The last answer; None before the first, and when data were missing for too long.
        known: When data were there last, in Unix seconds.
        since: Since when they are there without a gap.
        busy: When there was traffic last; None where none was seen since `since`.
        past: What was needed at each moment of the longer window.
        asked: What each reason asked for last.
    """

    answer: int | None = None
    known: float | None = None
    since: float | None = None
    busy: float | None = None
    past: tuple[Wanted, ...] = ()
    asked: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of a moment.

    Attributes:
        replicas: How many replicas there should be; None where the data do not say.
        reason: What decided: `load`, `queue`, `cache`, `cpu`, the bounds `min` and `max`, `idle` (zero replicas),
            `down_window` (fewer are enough, but not for long enough), or `held` (data are missing).
        needs: What each reason asks for, whatever the bounds.
    """

    replicas: int | None
    reason: str
    needs: tuple[Need, ...] = ()


def decide(needs: Sequence[Need], seen: Seen, settings: ServiceScaling, state: State) -> tuple[Decision, State]:
    """Return the number of replicas that there should be, and the state for the next call.

    Args:
        needs: What each reason asks for; empty where data are missing.
        seen: The moment. The first answer is no lower than the replicas that answer. Where it lies before that of the
            last call, the clock was set back, and the windows begin again.
        settings: The bounds and windows of the service.
        state: What the call before returned; `State()` at first.
    """
    if state.known is not None and seen.at < state.known:
        state = State(answer=state.answer)
    if not needs:
        return _held(settings, state, seen.at)
    all_needs = _with_missing(needs, settings, state, seen.at)
    state = _remembered(all_needs, seen, settings, replace(state, asked=_asked(needs, state, seen.at)))
    before = state.answer
    if before is None:
        before = max(seen.replicas or 0, *(need.wanted for need in all_needs))
    answer = min(max(_stabilised(settings, state, seen.at, before), _lowest(settings)), settings.max_replicas)
    if _is_asleep(settings, state, seen.at):
        answer = 0
    decision = Decision(answer, _reason(all_needs, answer, settings), all_needs)
    return decision, replace(state, answer=answer)


def _held(settings: ServiceScaling, state: State, at: float) -> tuple[Decision, State]:
    """Return the last answer while it is not too old, then none."""
    if state.answer is None or state.known is None or at - state.known > settings.hold:
        return Decision(None, HELD), State()
    answer = min(max(state.answer, settings.min_replicas), settings.max_replicas)
    return Decision(answer, HELD), state


def _with_missing(needs: Sequence[Need], settings: ServiceScaling, state: State, at: float) -> tuple[Need, ...]:
    """Return what is asked for, with what reasons without data asked for last, unless that is too long ago."""
    there = {need.reason for need in needs}
    missing = [one for one in state.asked if one.need.reason not in there and at - one.at <= settings.hold]
    return (*needs, *(one.need for one in missing))


def _asked(needs: Sequence[Need], state: State, at: float) -> tuple[Asked, ...]:
    there = {need.reason for need in needs}
    return (*(Asked(at, need) for need in needs), *(one for one in state.asked if one.need.reason not in there))


def _remembered(needs: Sequence[Need], seen: Seen, settings: ServiceScaling, state: State) -> State:
    """Return the state with what is needed now; a gap in the data starts the windows again."""
    has_gap = state.known is None or seen.at - state.known > LONGEST_GAP
    now = Wanted(seen.at, max(need.wanted for need in needs), max(need.ample for need in needs))
    window = max(settings.up_window, settings.down_window)
    kept = () if has_gap else tuple(one for one in state.past if seen.at - one.at <= window)
    busy = None if has_gap else state.busy
    return replace(
        state,
        known=seen.at,
        since=seen.at if has_gap else state.since,
        busy=busy if seen.idle else seen.at,
        past=(*kept, now),
    )


def _stabilised(settings: ServiceScaling, state: State, at: float, before: int) -> int:
    """Return the answer within the windows: no higher than what was always needed, no lower than what once was."""
    watched = at - (at if state.since is None else state.since)
    if watched >= settings.up_window:
        lasting = min(one.wanted for one in state.past if at - one.at <= settings.up_window)
        if lasting > before:
            return lasting
    if watched >= settings.down_window:
        enough = max(one.ample for one in state.past if at - one.at <= settings.down_window)
        return min(enough, before)
    return before


def _lowest(settings: ServiceScaling) -> int:
    """Return the fewest replicas while there is, or may be, traffic."""
    return max(settings.min_replicas, 1)


def _is_asleep(settings: ServiceScaling, state: State, at: float) -> bool:
    """Return whether zero replicas are allowed and nothing has come for `idle` seconds."""
    quiet_since = state.since if state.busy is None else state.busy
    return settings.min_replicas == 0 and quiet_since is not None and at - quiet_since >= settings.idle


def _reason(needs: Sequence[Need], answer: int, settings: ServiceScaling) -> str:
    """Return what decided."""
    top = max(needs, key=lambda need: need.wanted)
    if answer == 0:
        return IDLE
    if top.wanted > settings.max_replicas:
        return MAX
    if top.wanted < answer <= _lowest(settings):
        return MIN
    return DOWN_WINDOW if top.wanted < answer else top.reason
