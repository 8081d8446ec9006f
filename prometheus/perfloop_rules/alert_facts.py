"""What boards and pages show of alerts beside their names: since when, how bad, what about, and where to look.

Prometheus's ALERTS has labels and a 1. Its time of an alert begins again when Prometheus starts, and the texts of an
alert are in its annotations, which no query returns. The series here are the one source of these for every board.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_rules.explanations import FACTS, FIRING, recording_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

Rule = dict[str, Any]
SINCE, VALUE = "service:alert_firing_since:timestamp_seconds", "service:alert_value:last"
# The facts never change while a file of rules stands; with a lookback of five minutes that is often enough.
FACTS_INTERVAL = "15s"
# What a template of an alert's dashboard asks of its labels: the board that links there has them in the same row.
_TEMPLATED = re.compile(r"var-\w+=\{\{[^}]*\}\}&?")


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """The facts of all rules of one alert.

    Attributes:
        summary: what the alert is about, in a few words and without a number.
        dashboard: the address of its panel below Grafana's, as in its annotation.
        signal: the analyzer's name of what it is about; empty where the analyzer does not know it.
        unit: of the value.
        value: PromQL of the value while the alert fires; empty where a number says nothing (0: down).
    """

    alert: str
    summary: str
    dashboard: str
    signal: str = ""
    unit: str = ""
    value: str = ""


def while_firing(alert: str, series: str, *labels: str) -> str:
    """Return the values of a series for which an alert fires; `labels` are those of the series."""
    return f'({series}) and on ({", ".join(labels)}) ALERTS{{alertname="{alert}",alertstate="firing"}}'


def recording_groups(facts: Iterable[AlertFacts]) -> list[Rule]:
    """Return the groups that record the facts, since when each alert fires, its value, its cause and its remedy."""
    facts = list(facts)
    values = [
        {"record": VALUE, "expr": one.value, "labels": {"alertname": one.alert, "unit": one.unit}}
        for one in facts
        if one.value
    ]
    return [
        {"name": "alert-facts", "interval": FACTS_INTERVAL, "rules": [*map(_facts_rule, facts), *values]},
        {"name": "alerts-firing", "rules": [_since_rule(), *recording_rules()]},
    ]


def _facts_rule(one: AlertFacts) -> Rule:
    labels = {"alertname": one.alert, "summary": one.summary, "dashboard": _without_labels(one.dashboard)}
    about = {"about": one.signal} if one.signal else {}
    return {"record": FACTS, "expr": "vector(1)", "labels": labels | about}


def _without_labels(dashboard: str) -> str:
    """Return an address that ends where further variables and a time range can be added."""
    address = _TEMPLATED.sub("", dashboard).rstrip("?&")
    return f"{address}{'&' if '?' in address else '?'}"


def _since_rule() -> Rule:
    """The time of the first evaluation at which an alert fired; it goes on over a restart of up to five minutes.

    An alert that ends is marked as ended in the recorded series too; a restart of Prometheus marks nothing.
    """
    return {"record": SINCE, "expr": f"({SINCE} and {FIRING}) or {FIRING} * 0 + time()"}
