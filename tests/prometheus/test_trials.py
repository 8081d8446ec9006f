"""The small language of the tests in packs."""

from __future__ import annotations

import pytest

from perfloop_base.errors import ConfigError
from perfloop_rules.trials import Phases, calculate, case, draw, long_enough

PHASES = Phases((1.0, 2.0, 1.0), minutes=1, step_seconds=15)


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ("5", "5+0x3 5+0x3 5+0x3"),
        ("x * 100", "100+0x3 200+0x3 100+0x3"),
        ("10 - x", "9+0x3 8+0x3 9+0x3"),
        ("+x * 2", "0+30x3 120+60x3 360+30x3"),
        ("+10 - x * 2", "0+120x3 480+90x3 840+120x3"),
        ("falls 9 3", "9+0x3 3+0x3 9+0x3"),
        ("drains 1000 2", "1000-30x11"),
        ("heard", "0+15x3 60+0x3 120+15x3"),
        ("vanishes", "1+0x3 _x4 1+0x3"),
    ],
)
def test_words_become_promtools_notation(words: str, drawn: str):
    """Every form of the language."""
    assert draw(words, PHASES) == drawn


@pytest.mark.parametrize("formula", ["x *", "y", "__import__('os')", "x ** 2"])
def test_formulas_are_numbers_and_x_only(formula: str):
    """Nothing else is evaluated."""
    with pytest.raises(ConfigError, match="must be a formula of numbers and x"):
        calculate(formula, 1.0)


@pytest.mark.parametrize(
    ("expr", "hold", "minutes", "step"),
    [("up", "15s", 3, 15), ("rate(x[2m])", "1m", 5, 15), ("deriv(x[30m]) + rate(y[1m])", "5m", 37, 60)],
)
def test_phases_outlast_ranges_and_holds(expr: str, hold: str, minutes: int, step: int):
    """A phase is longer than the longest range and the hold together."""
    phases = long_enough(expr, hold)
    assert (phases.minutes, phases.step_seconds) == (minutes, step)


def test_a_case_asks_at_the_end_of_each_phase():
    """One question for each phase and selector."""
    one = case("name", {"a": "x"}, PHASES, {'alertname="A"': (0, 1, 0)})
    asked = [(test["eval_time"], test["exp_samples"][0]["value"]) for test in one["promql_expr_test"]]
    assert asked == [("45s", 0), ("105s", 1), ("165s", 0)]
