"""Closed shapes: how many users at each moment."""

from __future__ import annotations

import pytest

from perfloop_loadgen.pacing.constant_users import ConstantUsers
from perfloop_loadgen.pacing.endurance import Endurance, drift_ratio
from perfloop_loadgen.pacing.line import Stage
from perfloop_loadgen.pacing.ramping_users import RampingUsers
from perfloop_loadgen.pacing.shapes import RateShape, UserShape
from perfloop_loadgen.pacing.spike import Spike

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
    """Past the duration nobody asks."""
    assert ConstantUsers(10, 100).users_at(100) == 0
    assert Endurance(10, 100).users_at(100) == 0


@pytest.mark.parametrize(("elapsed", "users"), [(0, 0), (5, 5), (10, 10), (15, 10), (25, 5)])
def test_ramping_users_follow_the_line(elapsed: float, users: int):
    """Up to ten in 10 s, stay, down to none in 10 s."""
    shape = RampingUsers(0, (Stage(10, 10), Stage(10, 10), Stage(0, 10)))
    assert shape.users_at(elapsed) == users
    assert (shape.most_users, shape.duration_seconds) == (10, 30)


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


def test_drift_is_seen_through_spikes():
    """A rise of a fifth over the run is 0.2, whatever a few outliers do; a flat line is nought."""
    rising = [(float(t), 100 + 0.2 * t) for t in range(101)]
    rising[50] = (50.0, 5000.0)
    assert drift_ratio(rising) == pytest.approx(20 / 110, rel=0.02)
    assert drift_ratio([(float(t), 7.0) for t in range(500)]) == 0


def test_too_few_points_have_no_drift():
    """Nine points say nothing."""
    assert drift_ratio([(float(t), 1.0) for t in range(9)]) is None
