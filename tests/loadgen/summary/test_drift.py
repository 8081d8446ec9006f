"""Drift over a run: the Theil-Sen slope."""

from __future__ import annotations

import pytest

from perfloop_loadgen.summary.drift import drift_ratio


def test_drift_is_seen_through_spikes():
    """A rise of a fifth over the run is 0.2, whatever a few outliers do; a flat line is 0."""
    rising = [(float(t), 100 + 0.2 * t) for t in range(101)]
    rising[50] = (50.0, 5000.0)
    assert drift_ratio(rising) == pytest.approx(20 / 110, rel=0.02)
    assert drift_ratio([(float(t), 7.0) for t in range(500)]) == 0


def test_too_few_points_have_no_drift():
    """Nine points say nothing."""
    assert drift_ratio([(float(t), 1.0) for t in range(9)]) is None
