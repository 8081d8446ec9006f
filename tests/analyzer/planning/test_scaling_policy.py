"""The policy: within its bounds, never flapping, unmoved by missing data, and no lower for more load."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.planning.scaling import Decision, Need, Seen, State, decide
from perfloop_base.scaling import ServiceScaling

STEP = 30.0
SETTINGS = ServiceScaling(min_replicas=2, max_replicas=12, down_window=180.0, hold=300.0)


def _needs(wanted: int | None, reason: str = "load") -> tuple[Need, ...]:
    return () if wanted is None else (Need(reason, wanted, wanted),)


def _run(course: list[int | None], settings: ServiceScaling = SETTINGS, replicas: int | None = None) -> list[Decision]:
    """The answers for what is needed at each step; None is a moment without data."""
    state, answers = State(), []
    for number, wanted in enumerate(course):
        decision, state = decide(_needs(wanted), Seen(1000.0 + number * STEP, replicas), settings, state)
        answers.append(decision)
    return answers


courses = st.lists(st.integers(0, 30), min_size=1, max_size=80)
gappy = st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=1, max_size=80)


@given(gappy)
def test_answers_stay_within_the_bounds(course: list[int | None]) -> None:
    """Whatever is needed, and whatever is missing."""
    for decision in _run(course):
        assert decision.replicas is None or 2 <= decision.replicas <= 12


@given(courses)
def test_the_answer_does_not_flap(course: list[int]) -> None:
    """Down comes no sooner than the window after up, so that changes of direction are bounded for any noise."""
    numbers = [decision.replicas or 0 for decision in _run(course)]
    moves = [(at, after - before) for at, (before, after) in enumerate(pairwise(numbers), 1) if after != before]
    for (earlier, move), (later, other) in pairwise(moves):
        if move > 0 > other:
            assert (later - earlier) * STEP >= SETTINGS.down_window
    turns = sum((move > 0) != (other > 0) for (_, move), (_, other) in pairwise(moves))
    assert turns <= 2 * len(course) * STEP / SETTINGS.down_window + 1


@given(courses, st.lists(st.integers(0, 10), min_size=80, max_size=80))
def test_more_load_never_means_fewer_replicas(course: list[int], more: list[int]) -> None:
    """An answer for a need that is higher at every moment is nowhere lower."""
    higher = [wanted + extra for wanted, extra in zip(course, more, strict=False)]
    assert all(
        (low.replicas or 0) <= (high.replicas or 0) for low, high in zip(_run(course), _run(higher), strict=True)
    )


@given(courses, st.integers(1, 10))
def test_missing_data_change_nothing(course: list[int], missing: int) -> None:
    """Up to the time that the answer is held, it is the one from before; what comes after was always needed."""
    known = _run([*course, *[None] * missing])
    assert {one.replicas for one in known[len(course) :]} == {known[len(course) - 1].replicas}
    assert {one.reason for one in known[len(course) :]} == {"held"}


def test_an_answer_is_held_for_a_bounded_time_then_there_is_none() -> None:
    """Five minutes, then no series rather than a guess."""
    answers = _run([5, *[None] * 12])
    assert [one.replicas for one in answers] == [5] * 11 + [None] * 2


def test_no_data_at_all_is_no_answer() -> None:
    """Also when replicas are known to run."""
    assert [one.replicas for one in _run([None, None], replicas=4)] == [None, None]


def test_more_is_answered_at_once_and_fewer_after_the_window() -> None:
    """Up in one step; down when fewer were enough for three minutes, to the most of that time."""
    numbers = [one.replicas for one in _run([3, 9, 4, 5, 3, 3, 3, 3, 3, 3, 3])]
    assert numbers == [3, 9, 9, 9, 9, 9, 9, 9, 5, 5, 3]


def test_more_waits_for_its_window_where_there_is_one() -> None:
    """A need of one moment is passed over, one that lasts is answered with its least."""
    settings = replace(SETTINGS, up_window=60.0)
    assert [one.replicas for one in _run([3, 3, 9, 3, 3, 8, 9, 8, 9], settings)] == [3, 3, 3, 3, 3, 3, 3, 8, 8]


def test_the_tolerance_counts_downwards_alone() -> None:
    """What is needed with the tolerance must be lower, not only what is needed."""
    state, numbers = State(), []
    for number in range(20):
        wanted = 6 if number == 0 else 5
        decision, state = decide((Need("load", wanted, 6),), Seen(number * STEP), SETTINGS, state)
        numbers.append(decision.replicas)
    assert numbers == [6] * 20


def test_a_gap_begins_the_window_again() -> None:
    """Nobody saw what was needed in between: fewer must be enough for a whole window after it."""
    numbers = [one.replicas for one in _run([9, 3, 3, 3, None, None, None, None, None, None, 3, 3, 3, 3, 3, 3, 3])]
    assert numbers == [9] * 16 + [3]


def test_the_first_answer_is_no_lower_than_what_runs() -> None:
    """An analyzer that has just started does not take away what another asked for."""
    numbers = [one.replicas for one in _run([3] * 8, replicas=7)]
    assert numbers == [7] * 6 + [3, 3]


def test_a_reason_without_data_asks_for_what_it_asked_last() -> None:
    """The cache alone does not bring down what the load needs; for `hold`, then it decides alone."""
    state, numbers = State(), []
    for number in range(22):
        needs = (Need("load", 8, 8), Need("cache", 3, 3)) if number < 2 else (Need("cache", 3, 3),)
        decision, state = decide(needs, Seen(number * STEP), SETTINGS, state)
        numbers.append(decision.replicas)
    assert numbers == [8] * 18 + [3] * 4


def test_a_reason_that_is_left_may_ask_for_more() -> None:
    """Missing data of one reason do not hide the need of another."""
    _, state = decide((Need("load", 5, 5),), Seen(0.0), SETTINGS, State())
    decision, _ = decide((Need("queue", 9, 9),), Seen(STEP), SETTINGS, state)
    assert (decision.replicas, decision.reason) == (9, "queue")


def test_a_clock_that_was_set_back_keeps_the_answer() -> None:
    """The windows begin again."""
    _, state = decide(_needs(9), Seen(1000.0), SETTINGS, State())
    decision, state = decide(_needs(3), Seen(10.0), SETTINGS, state)
    assert decision.replicas == 9
    assert state.since == 10.0


def _course_of_traffic(settings: ServiceScaling, idle: list[bool]) -> list[int | None]:
    state, numbers = State(), []
    for number, quiet in enumerate(idle):
        seen = Seen(number * STEP, idle=quiet)
        decision, state = decide(_needs(0 if quiet else 4), seen, settings, state)
        numbers.append(decision.replicas)
    return numbers


def test_zero_only_where_it_is_allowed_and_after_the_idle_time() -> None:
    """Traffic that stops leaves the least after the window, and zero after `idle`; the first request brings more."""
    settings = ServiceScaling(min_replicas=0, down_window=60.0, idle=300.0)
    numbers = _course_of_traffic(settings, [False, *[True] * 11, False])
    assert numbers == [4, 4, 4, 1, 1, 1, 1, 1, 1, 1, 0, 0, 4]
    assert _course_of_traffic(replace(settings, min_replicas=1), [False, *[True] * 40])[-1] == 1


@pytest.mark.parametrize(
    ("wanted", "expected"), [(1, (2, "min")), (5, (5, "load")), (30, (12, "max"))], ids=["few", "some", "many"]
)
def test_the_reason_says_what_decided(wanted: int, expected: tuple[int, str]) -> None:
    """The load, or the bound that it meets; what it asks for beyond a bound is still shown."""
    (decision,) = _run([wanted])
    assert (decision.replicas, decision.reason) == expected
    assert decision.needs == _needs(wanted)
