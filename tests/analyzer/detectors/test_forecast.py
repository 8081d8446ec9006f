"""Seconds until a limit: only when the line may be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.detectors.forecast import forecast_limit
from perfloop_analyzer.detectors.trend import find_trends

STEP = 60.0


def _filling(start: float, end: float, points: int = 240, noise: float = 0.002) -> np.ndarray:
    line = np.linspace(start, end, points)
    return (line + np.random.default_rng(1).normal(0, noise, points))[None, :]


def test_a_filling_disk_reaches_its_limit_when_the_line_does() -> None:
    """From 60 % to 80 % in four hours leaves another four until 100 %, with bounds on both sides."""
    ahead = forecast_limit(find_trends(_filling(0.6, 0.8), STEP), 1.0, 240 * STEP)
    assert ahead.seconds[0] == pytest.approx(4 * 3600, rel=0.05)
    assert ahead.soonest[0] <= ahead.seconds[0] <= ahead.latest[0]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (_filling(0.60, 0.62), "the moment lies beyond twice the history"),
        (_filling(0.10, 0.40), "it is not half full"),
        (_filling(0.80, 0.60), "it empties"),
        (_filling(0.70, 0.70, noise=0.02), "nothing but noise"),
    ],
)
def test_no_answer_when_it_would_be_a_guess(values: np.ndarray, why: str) -> None:
    """Each gate holds a naive line back."""
    assert np.isnan(forecast_limit(find_trends(values, STEP), 1.0, 240 * STEP).seconds[0]), why
