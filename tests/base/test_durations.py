from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.durations import format_duration, parse_duration, parse_positive_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("500ms", 0.5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("20ns", 2e-8),
        ("2s", 2),
        ("1.5m", 90),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1y", 31_536_000),
    ],
)
def test_durations_are_read(text: str, seconds: float):
    """Every unit of Prometheus and Go is known, alone and after another."""
    assert seconds == pytest.approx(parse_duration(text))


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "1S", "1s ", "1,5s", "1m30", "٣s", "1s\n"])
def test_what_is_no_duration_is_named(text: str):
    """A number needs a unit, and nothing else may stand beside them."""
    with pytest.raises(ValueError, match="is not a duration: write numbers with units") as caught:
        parse_duration(text)
    assert str(caught.value).startswith(repr(text))


@pytest.mark.parametrize("text", ["0", "0s", "0.0ms"])
def test_zero_is_not_positive(text: str):
    """Where no time at all makes no sense, zero is refused."""
    with pytest.raises(ValueError, match="must be longer than zero"):
        parse_positive_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (10, "10s"), (90, "1m30s"), (5400, "1h30m"), (604_800, "7d"), (61.5, "1m1s500ms")],
)
def test_durations_are_written(seconds: float, text: str):
    """Durations go out as PromQL reads them."""
    assert text == format_duration(seconds)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_what_has_no_length_is_not_written(seconds: float):
    """A negative, infinite or missing number is no duration."""
    with pytest.raises(ValueError, match="must be finite and not negative"):
        format_duration(seconds)


@given(st.integers(0, 10**12))
def test_what_is_written_is_read(milliseconds: int):
    """Formatting to the millisecond loses nothing."""
    assert milliseconds / 1000 == pytest.approx(parse_duration(format_duration(milliseconds / 1000)))
