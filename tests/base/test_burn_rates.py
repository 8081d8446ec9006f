"""The table of the SRE Workbook."""

from __future__ import annotations

from perfloop_base.burn_rates import BURN_RATES, WINDOWS
from perfloop_base.durations import parse_duration


def test_factors_are_the_workbooks():
    """Chapter 5: 2 % in an hour, 5 % in six hours, 10 % in a day and in three, of a budget for 30 days."""
    assert [(row.severity, row.long, row.short, row.factor) for row in BURN_RATES] == [
        ("critical", "1h", "5m", 14.4),
        ("critical", "6h", "30m", 6),
        ("warning", "1d", "2h", 3),
        ("warning", "3d", "6h", 1),
    ]


def test_short_windows_are_a_twelfth_of_the_long_ones():
    """So that an alert ends soon after the burning."""
    assert {parse_duration(row.long) / parse_duration(row.short) for row in BURN_RATES} == {12.0}


def test_windows_are_listed_once_from_the_shortest():
    """Each window is asked for once, whatever number of rows uses it."""
    assert WINDOWS == ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
