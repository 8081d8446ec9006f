"""The histogram against the plain sorted list."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.samples.histogram import LARGEST, SECOND, Histogram, bucket_bounds, bucket_of

TIMES = st.integers(min_value=0, max_value=LARGEST)


@given(TIMES)
def test_a_value_lies_in_its_bucket_and_the_bucket_is_narrow(value: int):
    """Every value from 0 to a day is inside its bucket, which is at most 0.1 % wide."""
    low, high = bucket_bounds(bucket_of(value))
    assert low <= value < high
    assert high - low <= max(1, low / 1000)


@given(st.lists(TIMES, min_size=1, max_size=200), st.floats(0, 1))
def test_quantiles_agree_with_the_sorted_list(values: list[int], quantile: float):
    """A quantile is the value of that rank, to a tenth of a per cent."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    rank = max(1, -int(-quantile * len(values) // 1))
    expected = sorted(values)[rank - 1]
    assert histogram.quantile_seconds(quantile) == pytest.approx(expected / SECOND, rel=1e-3)


@given(st.lists(TIMES), st.lists(TIMES))
def test_merging_loses_nothing(first: list[int], second: list[int]):
    """Two histograms merged are the histogram of both lists."""
    left, right, both = Histogram(), Histogram(), Histogram()
    for value in first:
        left.record(value)
        both.record(value)
    for value in second:
        right.record(value)
        both.record(value)
    left.merge(right)
    assert left.counts == both.counts


def test_its_size_is_bounded():
    """A hundred thousand values over fourteen decades take no more buckets than the formula says."""
    values = random.Random(7)
    histogram = Histogram()
    for _ in range(100_000):
        histogram.record(int(10 ** values.uniform(0, 14.5)))
    assert len(histogram.counts) <= (1 << 11) + 36 * (1 << 10)
    assert histogram.count == 100_000


def test_nothing_has_no_quantile():
    """An empty histogram says None, not zero."""
    assert Histogram().quantiles_seconds([0.5, 0.99]) == [None, None]
    assert Histogram().mean_seconds is None


def test_cumulative_counts_what_lies_below_each_bound():
    """Bounds see what is at or below them, and the count beyond the last is the rest."""
    histogram = Histogram({bucket_of(1_000_000): 3, bucket_of(20_000_000): 2})
    assert histogram.cumulative([0.0005, 0.0011, 0.1]) == [0, 3, 5]
