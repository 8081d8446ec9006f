"""The Universal Scalability Law: its interval on simulated systems, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.planning.capacity.scalability import Scalability, explain_scalability, peak_bounds
from perfloop_analyzer.planning.figures import Refusal

LAW = Scalability(rate=100.0, contention=0.05, coherence=0.002, explained=1.0)
USERS = np.arange(1.0, 65.0, 3.0)


def _measured(law: Scalability, users: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    exact = np.array([law.throughput(level) for level in users])
    return np.asarray(exact * (1 + noise * np.random.default_rng(seed).standard_normal(len(users))))


def test_the_interval_holds_the_peak():
    """Of 100 load tests with 5% of noise, the interval of the throughput at the peak holds it in at least 85."""
    truth = LAW.throughput(LAW.peak)
    held = known = 0
    for seed in range(100):
        measured = _measured(LAW, USERS, 0.05, seed)
        law = explain_scalability(USERS, measured)
        if isinstance(law, Scalability):
            known += 1
            bounds = peak_bounds(law, USERS, measured)
            assert bounds.lower <= bounds.expected <= bounds.upper
            held += bounds.lower <= truth <= bounds.upper
    assert known >= 70
    assert held >= 0.85 * known


def test_exact_measurements_have_a_narrow_interval():
    """Without noise the law is recovered, and the interval is a point."""
    measured = _measured(LAW, USERS, 0.0)
    law = explain_scalability(USERS, measured)
    assert isinstance(law, Scalability)
    assert law.peak == pytest.approx(LAW.peak, rel=1e-3)
    bounds = peak_bounds(law, USERS, measured)
    assert bounds.upper / bounds.lower < 1.001


@pytest.mark.parametrize(
    ("users", "measured", "why"),
    [
        ([], [], "no load was measured"),
        ([8.0] * 20, [90.0] * 20, "more than one level of load"),
        ([1.0, 2.0, 3.0], [10.0, 19.0, 25.0], "3 levels of load are too few"),
        (USERS[:5], _measured(LAW, USERS[:5], 0.0), "still rises at 13 concurrent requests"),
        (USERS + 20, np.full(len(USERS), 300.0), "a plateau shows no rise"),
        (USERS, np.abs(np.random.default_rng(3).normal(300, 150, len(USERS))) + 1, "too noisy"),
        ([np.nan] * 9, [1.0] * 9, "no load was measured"),
    ],
)
def test_measurements_that_carry_no_peak_are_refused(users: list[float], measured: list[float], why: str):
    """One point, a rise alone, a plateau alone, noise: each is refused and said to be that."""
    found = explain_scalability(np.array(users), np.array(measured))
    assert isinstance(found, Refusal)
    assert why in found.reason
