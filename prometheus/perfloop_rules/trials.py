"""promtool tests of every alert: quiet just at its limit, firing just beyond it, resolved when it is over.

A test is a row of phases of equal length. One line describes what a series does in them:

    5              stays at 5
    x * 100        follows the tested value x: calm, hot, calm
    +x * 2         a counter that grows by x * 2 a second
    falls A B      A, B, A
    drains A B     from A downwards, B a second; A is a number or a formula without blanks
    heard          the present time, which stands still in the hot phase
    vanishes       1, nothing, 1
"""

from __future__ import annotations

import ast
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.durations import parse_duration
from perfloop_base.errors import ConfigError
from perfloop_base.promql import longest_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Case = dict[str, Any]
STEP_SECONDS = 15
SHORT_MINUTES = 15
LONG_STEP_SECONDS = 60
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Phases:
    """The tested value in each phase, and how long a phase is."""

    values: tuple[float, ...]
    minutes: int = 4
    step_seconds: int = STEP_SECONDS

    @property
    def steps(self) -> int:
        """Samples in one phase."""
        return self.minutes * 60 // self.step_seconds


def long_enough(expr: str, hold: str) -> Phases:
    """Return empty phases in which every range of an expression fills and empties, and two minutes more."""
    minutes = math.ceil((longest_range(expr) + parse_duration(hold)) / 60) + 2
    # Promtool evaluates every rule at every step: an hour is walked through in longer steps.
    return Phases((), minutes, STEP_SECONDS if minutes <= SHORT_MINUTES else LONG_STEP_SECONDS)


def calculate(formula: str, x: float) -> float:
    """Return the value of a formula of numbers and x."""

    def value(node: ast.expr) -> float:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id="x"):
                return x
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
                return OPERATORS[type(sign)](value(left), value(right))
            case _:
                raise ConfigError(f"a test contains {formula!r}; it must be a formula of numbers and x.")

    try:
        return value(ast.parse(formula.strip(), mode="eval").body)
    except SyntaxError as error:
        raise ConfigError(f"a test contains {formula!r}; it must be a formula of numbers and x.") from error


def draw(words: str, phases: Phases) -> str:
    """Return a series in promtool's notation."""
    kind, *numbers = words.split()
    if kind == "falls":
        low_in_the_middle = [float(numbers[1 if at == 1 else 0]) for at in range(len(phases.values))]
        return _gauge(low_in_the_middle, phases)
    if kind == "drains":
        step = _number(float(numbers[1]) * phases.step_seconds)
        return f"{_number(calculate(numbers[0], 0))}-{step}x{phases.steps * len(phases.values) - 1}"
    if kind == "heard":
        return _heard(phases)
    if kind == "vanishes":
        return f"1+0x{phases.steps - 1} _x{phases.steps} 1+0x{phases.steps - 1}"
    if words.startswith("+"):
        return _counter([calculate(words[1:], x) for x in phases.values], phases)
    return _gauge([calculate(words, x) for x in phases.values], phases)


def _gauge(values: Sequence[float], phases: Phases) -> str:
    return " ".join(f"{_number(value)}+0x{phases.steps - 1}" for value in values)


def _counter(rates: Sequence[float], phases: Phases) -> str:
    drawn, total = [], 0.0
    for rate in rates:
        step = rate * phases.step_seconds
        drawn.append(f"{_number(total)}+{_number(step)}x{phases.steps - 1}")
        total += step * phases.steps
    return " ".join(drawn)


def _heard(phases: Phases) -> str:
    length = phases.steps * phases.step_seconds
    grows = f"+{phases.step_seconds}x{phases.steps - 1}"
    return f"0{grows} {length}+0x{phases.steps - 1} {2 * length}{grows}"


def _number(value: float) -> str:
    return f"{value:.12g}"


def case(name: str, series: Mapping[str, str], phases: Phases, firing: Mapping[str, Sequence[int]]) -> Case:
    """Return one promtool test.

    Args:
        name: the sentence that the test proves.
        series: what each input series does.
        phases: the tested values.
        firing: for each selector of ALERTS, how many fire at the end of each phase.
    """
    ends = [(at + 1) * phases.minutes * 60 - phases.step_seconds for at in range(len(phases.values))]
    return {
        "name": name,
        "interval": f"{phases.step_seconds}s",
        "input_series": [{"series": one, "values": draw(words, phases)} for one, words in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{{selector},alertstate="firing"}}) or vector(0)',
                "eval_time": f"{end}s",
                "exp_samples": [{"labels": "{}", "value": count}],
            }
            for selector, counts in firing.items()
            for end, count in zip(ends, counts, strict=True)
        ],
    }


def proof_file(rule_file: str, cases: list[Case]) -> dict[str, Any]:
    """Return a promtool test file for one file of alerts."""
    return {"rule_files": [f"../alerts/{rule_file}"], "evaluation_interval": f"{STEP_SECONDS}s", "tests": cases}
