"""Read a gate: `p95 < 0.5 s`, `errors < 1 %`, `service_p99.9 <= 800 ms`, `rate > 1000`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.secrets import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FORM = re.compile(
    r"\s*(?P<metric>[a-z_]*[a-z](?:\d+(?:\.\d+)?)?)?\s*(?P<sign><=|>=|<|>)\s*(?P<number>[0-9.eE+-]+)\s*(?P<unit>\S*)\s*"
)
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "%": 1e-2, "/s": 1.0}
_TIME = re.compile(
    r"(?:(?P<of>service|lag|ttft|first_answer|first_reasoning|gap|stall|tpot)_)?(?P<what>p\d+(?:\.\d+)?|avg|min|max)"
)
NUMBERS = ("errors", "timeouts", "dropped", "rate", "requests", "goodput", "tokens_per_second", "drift")
_SHOWN_IN = {
    "errors": "ratio",
    "timeouts": "ratio",
    "drift": "ratio",
    "rate": "per_second",
    "goodput": "per_second",
    "tokens_per_second": "per_second",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A sign and a bound."""

    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """Return whether the value keeps the bound."""
        return _SIGNS[self.sign](value, self.bound)

    def worst(self, values: list[float]) -> float:
        """Return the value that is nearest to breaking the bound, or farthest beyond it."""
        return max(values) if self.sign.startswith("<") else min(values)


@dataclass(frozen=True, slots=True)
class Expression:
    """A metric and the bound that it must keep; the metric is empty for a bare `< 20`."""

    text: str
    metric: str
    comparison: Comparison


def parse_expression(text: str, *, bare: bool = False) -> Expression:
    """Read a gate; with `bare`, only sign and bound are allowed.

    Raises:
        ConfigError: the text is not a gate, or names an unknown metric or unit.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ConfigError([f"thresholds: {text!r}: must read like 'p95 < 0.5 s' or 'errors < 1 %'"])
    metric = found["metric"] or ""
    if bare and metric:
        raise ConfigError([f"thresholds: {text!r}: expect of a promql gate is a sign and a bound, as in '< 20'"])
    if not bare and metric not in NUMBERS and time_of(metric) is None:
        raise ConfigError([f"thresholds: {text!r}: there is no metric {metric!r}; known: {known_metrics()}"])
    return Expression(shown(text), metric, Comparison(found["sign"], _bound(text, found["number"], found["unit"])))


def time_of(metric: str) -> tuple[str, str] | None:
    """Return the distribution and the statistic of a metric, as ("response", "p95"); None of other metrics."""
    found = _TIME.fullmatch(metric)
    if found is None or (found["what"].startswith("p") and float(found["what"][1:]) > 100):  # noqa: PLR2004 - per cent
        return None
    return found["of"] or "response", found["what"]


def longest_response(gates: Iterable[str]) -> float:
    """Return the longest response time that gates allow, in seconds; 0 where none is about response times."""
    expressions = (parse_expression(gate, bare=gate.lstrip().startswith(("<", ">"))) for gate in gates)
    times = (one for one in expressions if one.comparison.sign.startswith("<") and time_of(one.metric) is not None)
    return max((one.comparison.bound for one in times), default=0.0)


def unit_of(metric: str) -> str:
    """Return the base unit of a metric's value."""
    return "seconds" if time_of(metric) is not None else _SHOWN_IN.get(metric, "number")


def known_metrics() -> str:
    """List the metrics that a gate may be about."""
    return (
        "pN, avg, min, max (also service_, lag_, ttft_, first_answer_, first_reasoning_, gap_, stall_, tpot_), "
        + ", ".join(NUMBERS)
    )


def _bound(text: str, number: str, unit: str) -> float:
    if unit not in _UNITS:
        raise ConfigError([f"thresholds: {text!r}: the unit {unit!r} is none of s, ms, us, %, /s"])
    try:
        return float(number) * _UNITS[unit]
    except ValueError as error:
        raise ConfigError([f"thresholds: {text!r}: {number!r} is not a number"]) from error
