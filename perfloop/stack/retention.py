"""Whether Prometheus keeps data for as long as the windows of the rules are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop.stack.settings import RETENTION_TIME_VARIABLE
from perfloop_base.durations import parse_duration
from perfloop_base.promql import longest_range
from perfloop_rules.series import read_rules

if TYPE_CHECKING:
    from perfloop.stack.settings import Settings

_DAY_SECONDS = 86_400


def find_short_retention(settings: Settings) -> str:
    """Return one sentence where a rule looks back further than Prometheus keeps data, else nothing.

    The rule files must have been checked before.
    """
    rules = read_rules(settings.configuration / "prometheus")
    longest = max(rules, key=lambda rule: longest_range(rule.expr), default=None)
    if longest is None or longest_range(longest.expr) <= parse_duration(settings.retention_time):
        return ""
    days = longest_range(longest.expr) / _DAY_SECONDS
    return (
        f"{RETENTION_TIME_VARIABLE} is {settings.retention_time}, and {longest.name} ({longest.file}:{longest.line}) "
        f"looks back {days:g} days: its results are of {settings.retention_time} only"
    )
