"""The noise certificate against noise that is known."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest

from perfloop_loadgen.compare.measures import Subject
from perfloop_loadgen.compare.noise import Noise, certify
from tests.loadgen.known_runs import build_run, build_runs

P95 = Subject("all", "p95")


def test_the_spread_of_runs_is_found():
    """Forty runs that differ by 5 %."""
    noise = certify(build_runs(0.1, 40, 1, spread=0.05)).of(P95)
    assert noise is not None
    assert noise.spread_ratio == pytest.approx(0.05, rel=0.3)
    assert noise.level == pytest.approx(0.1475, rel=0.03)


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_two_groups_of_one_build_seldom_differ_by_more_than_the_finest_gate(runs: int):
    """In 1 % of many pairs, by the definition; with more runs a side, the gate can be finer."""
    spread, chance = 0.04, random.Random(runs)
    noise = Noise("all", "p95", 1.0, spread**2, 200)
    finest = noise.finest(runs, runs)
    groups = [[fmean(chance.gauss(0, spread) for _ in range(runs)) for _ in range(2)] for _ in range(4000)]
    beyond = sum(abs(one - other) > finest for one, other in groups)
    assert 10 <= beyond <= 80
    assert noise.finest(2 * runs, 2 * runs) < finest


def test_how_many_runs_a_finer_gate_takes():
    """So many that the noise is no larger than the effect, and one fewer would not do."""
    noise = Noise("all", "p95", 1.0, 0.04**2, 9)
    needed = noise.runs_for(math.log1p(0.05))
    assert needed is not None
    assert noise.finest(needed, needed) <= math.log1p(0.05) < noise.finest(needed - 1, needed - 1)
    assert noise.runs_for(1e-9) is None
    assert noise.runs_for(0.0) is None


def test_a_certificate_is_about_its_test_and_machine_alone():
    """Another configuration, machine or version has other noise; another address has the same."""
    certificate = certify(build_runs(0.1, 8, 1))
    assert certificate.is_about(build_run(0.2, 2, base_url="http://other:1"))
    assert not certificate.is_about(build_run(0.1, 2, config={"concurrent_users": 6}))
    assert not certificate.is_about(build_run(0.1, 2, generator_version="9"))
