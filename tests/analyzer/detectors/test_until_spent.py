"""Until when an error budget lasts: a number with its bounds, never, or not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.detectors.burn import MIN_EVENTS, Spending, until_spent
from perfloop_base.burn_rates import PERIOD_SECONDS

DAY = 86_400.0
ALLOWED = 0.001


def _until(left: float, ratio: float, events: float, allowed: float = ALLOWED) -> tuple[float, float, float]:
    """Return expected, lower and upper of one budget."""
    one = until_spent(Spending(*(np.array([value]) for value in (left, ratio, events, allowed))))
    return float(one[0][0]), float(one[1][0]), float(one[2][0])


@pytest.mark.parametrize(
    ("left", "ratio", "events", "expected"),
    [
        (1.0, 0.01, 1e6, 3 * DAY),  # ten times as fast as allowed
        (0.5, 0.01, 1e6, 1.5 * DAY),
        (0.4, 0.0005, 1e6, 24 * DAY),  # half as fast: 0.6 are spent and stay so for up to a period
        (0.9, 0.0005, 1e6, np.inf),  # what was spent before is forgotten earlier
        (0.5, 0.0, 1e6, np.inf),
        (0.5, 0.0, 100, np.inf),
        (0.0, 0.0, 1e6, 0.0),
        (-0.2, 0.01, 1e6, 0.0),
        (0.5, 0.01, MIN_EVENTS - 1, np.nan),
        (np.nan, 0.01, 1e6, np.nan),
        (0.5, np.nan, 1e6, np.nan),
        (0.5, 0.01, np.nan, np.nan),
        (0.5, 1.5, 1e6, np.nan),
        (0.5, -0.1, 1e6, np.nan),
    ],
)
def test_what_is_known(left: float, ratio: float, events: float, expected: float) -> None:
    """Never is infinite, not known is NaN; they are distinct."""
    found = _until(left, ratio, events)
    assert found[0] == pytest.approx(expected, nan_ok=True)
    if not np.isfinite(expected):
        np.testing.assert_equal(found, (expected,) * 3)


def test_few_events_make_wide_bounds() -> None:
    """One of a hundred requests failed: it may be a tenth of that, or four times as much."""
    few, many = _until(1.0, 0.01, 100), _until(1.0, 0.01, 1e6)
    assert few[0] == many[0]
    assert few[1] < 0.5 * few[0]
    assert few[2] > 2 * few[0]
    assert many[2] - many[1] < 0.1 * many[0]


def test_an_objective_that_allows_nothing_has_no_burn() -> None:
    """A share of nothing is not a number."""
    assert np.isnan(_until(0.5, 0.01, 1e6, 0.0)).all()


@given(
    left=st.floats(-1, 1),
    bad=st.integers(0, 10_000),
    events=st.integers(10, 10_000_000),
    allowed=st.floats(1e-4, 0.2),
)
def test_bounds_are_in_order_and_more_budget_lasts_longer(left: float, bad: int, events: int, allowed: float) -> None:
    """Whatever burns."""
    ratio = min(bad, events) / events
    expected, lower, upper = _until(left, ratio, events, allowed)
    assert 0 <= lower <= expected <= upper
    assert expected <= PERIOD_SECONDS or np.isinf(expected)
    more = _until(min(1.0, left + 0.1), ratio, events, allowed)
    assert more[0] >= expected


@pytest.mark.parametrize(("left", "burn"), [(0.7, 3.0), (0.2, 1.5), (0.9, 20.0)])
def test_the_moment_is_within_the_bounds(left: float, burn: float) -> None:
    """A month of seconds is played: what was spent before was spent evenly, or all of it just now."""
    expected, lower, upper = _until(left, burn * ALLOWED, 1e7)
    hours = np.arange(1, 31 * 24)
    new = burn * hours / (30 * 24)
    for forgotten in ((1 - left) * hours / (30 * 24), np.zeros(len(hours))):
        spent = (1 - left) - forgotten + new
        until = float(hours[np.argmax(spent >= 1.0)]) * 3600
        assert lower - 3600 <= until <= upper + 3600
    assert lower <= expected <= upper
