"""The bounds of our histograms: how near a percentile is to the truth, and PERFLOOP_BUCKETS."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_base.buckets import DEFAULT, NAMED, bucket_of, read_bounds
from perfloop_base.errors import ConfigError
from perfloop_base.slos import read_slos
from tests.support.oracles import histogram_quantile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHORTEST, LONGEST = 100e-6, 60.0
WIDEST = 0.101  # how far apart two bounds are at most
# OpenTelemetry's advice for HTTP: a dashboard that counts what is below one of these goes on working.
OPENTELEMETRY = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SHAPES: dict[str, Callable[[random.Random, float], float]] = {
    "constant": lambda _, middle: middle,
    "uniform": lambda chance, middle: middle * chance.uniform(0.5, 2),
    "normal": lambda chance, middle: chance.gauss(middle, middle / 5),
    "log-normal": lambda chance, middle: middle * chance.lognormvariate(0, 1),
    "exponential": lambda chance, middle: chance.expovariate(1 / middle),
    "hits and misses": lambda chance, middle: middle * (1 if chance.random() < 0.9 else 20),
    "long tail": lambda chance, middle: middle * chance.paretovariate(1.5),
}


def measured(values: list[float], quantile: float, bounds: tuple[float, ...] = DEFAULT) -> float:
    """What `histogram_quantile` makes of the values."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    return histogram_quantile(quantile, bounds, list(accumulate(counts)))


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=st.integers(0, 2**32), middle=st.floats(math.log(SHORTEST), math.log(LONGEST)).map(math.exp))
@settings(max_examples=60, deadline=None)
def test_a_percentile_is_near_the_truth(shape: str, seed: int, middle: float):
    """Within the width of a bucket, from 100 µs to 60 s, however the values are distributed."""
    chance = random.Random(seed)
    values = sorted(abs(SHAPES[shape](chance, middle)) for _ in range(300))
    for quantile in (0.5, 0.9, 0.95, 0.99):
        truth = values[math.ceil(quantile * len(values)) - 1]
        if SHORTEST <= truth <= LONGEST:
            assert measured(values, quantile) == pytest.approx(truth, rel=WIDEST), quantile


@pytest.mark.parametrize("seconds", [0.501, 0.0501, 1.001, 0.00021, 0.000951, 2.51, 11.0])
def test_what_always_takes_as_long_reads_so(seconds: float):
    """501 ms is not 970 ms because the next bound was 1 s."""
    assert measured([seconds] * 100, 0.95) == pytest.approx(seconds, rel=0.1)


def test_bounds_are_nowhere_far_apart():
    """The 99th percentile of what always takes as long is at most 0.99 of the bucket's width from the truth."""
    widest = max(high / low for low, high in pairwise(DEFAULT) if low >= SHORTEST and high <= LONGEST)
    assert 0.99 * (widest - 1) <= 0.1
    assert len(DEFAULT) <= 170


@pytest.mark.parametrize("choice", [*NAMED, "0.3,0.7"])
def test_objectives_keep_their_bounds(choice: str, checkout: Path):
    """Each `within` of slos.yml is a bound, whatever PERFLOOP_BUCKETS says: else the objective counts nothing."""
    limits = {slo.within for slo in read_slos(checkout / "prometheus" / "slos.yml") if slo.within}
    assert limits <= set(read_bounds({"PERFLOOP_BUCKETS": choice}))


@pytest.mark.parametrize("name", NAMED)
def test_named_bounds_have_those_of_opentelemetry(name: str):
    """Boards and alerts for OpenTelemetry's histograms read these."""
    assert set(OPENTELEMETRY) <= set(NAMED[name])
    assert list(NAMED[name]) == sorted(set(NAMED[name]))


def test_the_variable_chooses():
    """Nothing and blanks mean the fine bounds; a list is completed by the bounds of the objectives."""
    assert read_bounds({}) == read_bounds({"PERFLOOP_BUCKETS": " "}) == NAMED["fine"]
    assert read_bounds({"PERFLOOP_BUCKETS": "coarse"}) == NAMED["coarse"]
    assert read_bounds({"PERFLOOP_BUCKETS": " 0.2, 3 "}) == (0.1, 0.2, 0.5, 1.0, 3.0)


@pytest.mark.parametrize(
    "wrong", ["finest", "1,x", "2,1", "1,1", "0,1", "-1,1", "1,inf", "nan", "1,nan,2", ",", "1,,2", ",".join("1" * 600)]
)
def test_a_wrong_value_is_one_sentence(wrong: str):
    """Thing, value, rule."""
    with pytest.raises(ConfigError) as caught:
        read_bounds({"PERFLOOP_BUCKETS": wrong})
    assert str(caught.value) == (
        f"PERFLOOP_BUCKETS has the value {wrong!r}; it must be one of fine, medium, coarse, or up to 500 ascending"
        " bounds in seconds above 0, as 0.01,0.1,1."
    )


def test_the_bucket_of_a_value():
    """Bounds belong to the bucket below."""
    assert bucket_of(0.501) == (0.5, 0.55)
    assert bucket_of(0.5) == (0.46, 0.5)
    assert bucket_of(0.000001) == (0.0, 0.00001)
    assert bucket_of(1000) == (300.0, math.inf)


def test_the_bounds_that_the_docs_name_are_there(checkout: Path):
    """Whoever chooses the limit of an objective reads them there."""
    text = (checkout / "docs" / "instrument.md").read_text(encoding="utf-8")
    named = text.partition("must be a bound: ")[2].partition(" and some")[0].replace(" and ", ", ").split(", ")
    wanted = {float(f"{number}e{power}") for number in named for power in range(-4, 1)}
    assert len(named) > 10
    assert wanted <= set(DEFAULT)
