from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.quantities import quantity, span


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.2, "seconds", "200 ms"),
        (1.0, "seconds", "1 s"),
        (2.3456, "seconds", "2.35 s"),
        (0.000025, "seconds", "25 µs"),
        (5400, "seconds", "5400 s"),
        (0.0, "seconds", "0 s"),
        (-0.5, "seconds", "-500 ms"),
        (0.05, "ratio", "5%"),
        (0.0012, "ratio", "0.12%"),
        (0.999, "ratio", "99.9%"),
        (0.0, "ratio", "0%"),
        (50e6, "bytes_per_second", "50 MB/s"),
        (1_234_567, "bytes", "1.23 MB"),
        (12, "bytes", "12 B"),
        (0.0, "bytes", "0 B"),
        (12.5, "per_second", "12.5/s"),
        (123_456, "per_second", "123456/s"),
        (7, "number", "7"),
        (7, "", "7"),
        (3, "cores", "3 cores"),
        (None, "seconds", "-"),
        (math.nan, "seconds", "-"),
        (math.inf, "seconds", "infinite"),
    ],
)
def test_quantities_in_words(value: float | None, unit: str, words: str):
    """A number is written at the size that reads well, with its unit."""
    assert words == quantity(value, unit)


def test_more_digits_where_they_matter():
    """A limit is written whole."""
    assert quantity(0.12345, "ratio", 6) == "12.345%"


@given(st.floats(1e-5, 1e11), st.integers(1, 9))
def test_rounding_keeps_the_size(value: float, digits: int):
    """The words are the number, to half a unit of its last digit."""
    assert float(quantity(value, "number", digits)) == pytest.approx(value, rel=0.5000001 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s"), (90, "90 s"), (150, "2 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_spans(seconds: float, words: str):
    """How long something lasts is one whole number."""
    assert words == span(seconds)
