"""The factors of the SRE Workbook."""

from __future__ import annotations

from perfloop_rules.slo_rules import BURNS, SECONDS


def test_factors_are_the_workbooks():
    """Chapter 5: 2 % in an hour, 5 % in six hours, 10 % in a day and in three, of a budget for 30 days."""
    assert [(burn.severity, burn.long, burn.short, burn.factor) for burn in BURNS] == [
        ("critical", "1h", "5m", 14.4),
        ("critical", "6h", "30m", 6),
        ("warning", "1d", "2h", 3),
        ("warning", "3d", "6h", 1),
    ]


def test_short_windows_are_a_twelfth_of_the_long_ones():
    """So that an alert ends soon after the burning."""
    assert {SECONDS[burn.long] / SECONDS[burn.short] for burn in BURNS} == {12.0}
