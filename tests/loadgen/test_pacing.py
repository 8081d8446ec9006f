"""The shapes: users at each moment, and schedules against what their rate promises."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.pacing import (
    ConstantRate,
    ConstantUsers,
    Endurance,
    PoissonRate,
    RampingRate,
    RampingUsers,
    RateShape,
    Spike,
    Stage,
    UserShape,
    UserShare,
)

SPIKE = Spike(base=5, peak=50, after_seconds=10, spike_seconds=10, rise_seconds=1, duration_seconds=40)


@pytest.mark.parametrize(
    ("elapsed", "users", "phase"),
    [(0, 1, "ramp up"), (5, 5, "ramp up"), (10, 10, "steady"), (50, 10, "steady"), (95, 5, "ramp down")],
)
def test_constant_users_have_their_ramps_inside(elapsed: float, users: int, phase: str):
    """Ten users over 100 s with ramps of 10 s at both ends."""
    shape = ConstantUsers(10, 100, 10, 10)
    assert (shape.users_at(elapsed), shape.phase_at(elapsed)) == (users, phase)


def test_no_users_after_the_end():
    """Past the duration no user is active."""
    assert ConstantUsers(10, 100).users_at(100) == 0
    assert Endurance(10, 100).users_at(100) == 0


@pytest.mark.parametrize(("elapsed", "users"), [(0, 0), (5, 5), (10, 10), (15, 10), (25, 5)])
def test_ramping_users_follow_the_line(elapsed: float, users: int):
    """Up to ten in 10 s, stay, down to none in 10 s."""
    shape = RampingUsers(0, (Stage(10, 10), Stage(10, 10), Stage(0, 10)))
    assert shape.users_at(elapsed) == users
    assert (shape.max_users, shape.duration_seconds) == (10, 30)


@pytest.mark.parametrize(
    ("elapsed", "users", "phase"),
    [(0, 5, "before"), (9.9, 5, "before"), (11, 50, "spike"), (20, 50, "spike"), (23, 5, "recovery")],
)
def test_a_spike_rises_and_falls(elapsed: float, users: int, phase: str):
    """Five users, fifty for 10 s, five again."""
    assert (SPIKE.users_at(elapsed), SPIKE.phase_at(elapsed)) == (users, phase)


def test_shapes_say_which_model_they_are():
    """A user shape is not a rate shape."""
    assert isinstance(SPIKE, UserShape)
    assert not isinstance(SPIKE, RateShape)


def test_shares_add_up():
    """At every moment the workers' users are the shape's."""
    shape = ConstantUsers(17, 100, 40)
    for elapsed in range(0, 100, 7):
        shares = [UserShare(shape, index, 4).users_at(elapsed) for index in range(4)]
        assert sum(shares) == shape.users_at(elapsed)


STAGES = st.lists(st.tuples(st.floats(0, 200), st.floats(0.1, 5)), min_size=1, max_size=4)


def test_a_constant_rate_is_even_and_does_not_drift():
    """Request k is due at k / rate, also after a million of them."""
    shape = ConstantRate(10_000, None)
    assert list(islice(shape.starts(), 3)) == [0, 1e-4, 2e-4]
    assert next(islice(shape.starts(), 1_000_000, None)) == 100.0


def test_a_constant_rate_ends_with_its_duration():
    """So many requests as rate times duration."""
    assert len(list(ConstantRate(50, 2).starts())) == 100


@given(st.floats(0, 200), STAGES)
def test_a_ramp_starts_as_many_requests_as_the_area_under_its_line(start: float, stages: list[tuple[float, float]]):
    """Requests = ∫ rate dt, never out of order, none outside the duration."""
    shape = RampingRate(start, tuple(Stage(goal, seconds) for goal, seconds in stages))
    starts = list(shape.starts())
    area, height = 0.0, start
    for goal, seconds in stages:
        area += (height + goal) / 2 * seconds
        height = goal
    assert abs(len(starts) - area) <= 1 + 1e-6
    assert all(earlier <= later + 1e-9 for earlier, later in pairwise(starts))
    assert all(0 <= due <= shape.duration_seconds + 1e-9 for due in starts)


def test_a_ramp_is_as_dense_as_its_rate():
    """From 0 to 100 a second in 10 s: a quarter of the requests fall in the first half."""
    starts = list(RampingRate(0, (Stage(100, 10),)).starts())
    assert len(starts) == 500
    assert sum(due < 5 for due in starts) == pytest.approx(125, abs=1)


def test_poisson_arrivals_keep_the_rate_and_vary():
    """The mean is the rate; gaps have the spread of an exponential; one seed gives one schedule."""
    starts = list(PoissonRate(100, 100, seed=3).starts())
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert len(starts) == pytest.approx(10_000, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.05)
    assert starts == list(PoissonRate(100, 100, seed=3).starts())
    assert starts[:9] != list(islice(PoissonRate(100, 100, seed=4).starts(), 9))
