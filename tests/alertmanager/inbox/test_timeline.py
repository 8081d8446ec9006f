"""The times at which alerts fired, from the samples of Prometheus's own series."""

from __future__ import annotations

import pytest

from perfloop_inbox.incidents import PrometheusAlert, key_of
from perfloop_inbox.timeline import Samples, Timeline

ALERT = PrometheusAlert({"alertname": "Slow", "service": "shop"}, {}, firing=False)
OTHER = PrometheusAlert({"alertname": "Other", "service": "shop"}, {}, firing=False)
INTERVAL = 5.0


def every(begin: float, end: float, interval: float = INTERVAL) -> list[float]:
    """Moments from one to another."""
    return [begin + interval * number for number in range(int((end - begin) / interval) + 1)]


def times(firing: list[float], other: list[float], pending: list[float] | None = None) -> list[tuple[float, float]]:
    """The times of the alert, beside another one's samples."""
    samples = {
        key_of(ALERT.labels): Samples(ALERT, firing, pending or []),
        key_of(OTHER.labels): Samples(OTHER, pending=other),
    }
    timeline = Timeline(samples, {"Slow": INTERVAL}, 15.0, 3)
    return [(one.first, one.last) for one in timeline.fired() if one.alert is ALERT]


def test_a_gap_in_which_the_rule_was_evaluated_is_an_end():
    """Something else of the group has samples in the gap."""
    firing = every(100, 120) + every(200, 220)
    assert times(firing, every(0, 300)) == [(100, 120), (200, 220)]


def test_a_gap_in_which_no_prometheus_ran_is_none():
    """Nobody knows: an end would be invented."""
    assert times(every(100, 120) + every(200, 220), every(0, 120) + every(200, 300)) == [(100, 220)]


def test_a_few_evaluations_after_a_restart_are_no_end():
    """It may have no data yet."""
    assert times(every(100, 120) + every(200, 220), [150.0, 155.0]) == [(100, 220)]


def test_two_evaluations_without_it_are_no_end():
    """One may have failed; three are an end."""
    assert times(every(100, 120) + every(135, 170), every(0, 300)) == [(100, 170)]
    assert times(every(100, 120) + every(140, 170), every(0, 300)) == [(100, 120), (140, 170)]


def test_an_alert_that_is_pending_after_a_restart_has_not_ended():
    """It must hold for as long as its rule says first."""
    pending = every(125, 195)
    assert times(every(100, 120) + every(200, 220), every(0, 300), pending) == [(100, 220)]


def test_other_groups_count_where_they_were_evaluated_for_long():
    """No other alert of the group has samples: Prometheus ran for longer than a restart takes."""
    firing = every(100, 120) + every(300, 320)
    assert times(firing, every(1.7, 400, 15.0)) == [(100, 120), (300, 320)]
    assert times(every(100, 120) + every(170, 190), every(1.7, 400, 15.0)) == [(100, 190)]


@pytest.mark.parametrize(("start", "found"), [(0.0, 100.0), (101.0, 105.0), (400.0, None)])
def test_the_first_moment_after_a_start(start: float, found: float | None):
    """Since then the present Prometheus evaluates."""
    samples = {key_of(ALERT.labels): Samples(ALERT, every(100, 120))}
    assert Timeline(samples, {}, 15.0, 3).first_since(start) == found


def test_no_samples_are_no_time():
    """An alert that was only pending did not fire."""
    assert times([], every(0, 100), every(10, 40)) == []
