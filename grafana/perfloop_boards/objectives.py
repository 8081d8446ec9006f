"""The queries of objectives: their state, budgets and burn rates, and what bad events are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_base.burn_rates import BURN_RATES
from perfloop_boards.queries import chosen, equal, selector
from perfloop_boards.watches import SERVICE_UP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_base.slos import Slo

CHOSEN = selector(*chosen("service", "slo"))
BY = "service, slo"
EACH = "{{service}} {{slo}}"
# An objective is recorded while it has events; one whose service is down stays in the table for a day.
OBJECTIVE = f"max by ({BY}) (last_over_time(service_slo:slo_objective:ratio{CHOSEN}[1d]))"
BUDGET_LEFT = f"max by ({BY}) (service_slo:slo_error_budget_left:ratio{CHOSEN})"
WINDOW = f"max by ({BY}) (service_slo:slo_window:seconds{CHOSEN})"
GONE = f"min by ({BY}) (service_slo:slo_budget_gone:seconds{CHOSEN})"
# What bad events are listed by: the labels of routes, models, databases and caches. A label that is not there is empty.
CAUSES = ("http_route", "gen_ai_request_model", "model_name", "db_system_name", "cache")
BY_SERVICE = re.compile(r"\bby\s*\(\s*service\s*\)")


def burn_rate(window: str) -> str:
    """Return the query of how many times faster than allowed the budgets burn over a window."""
    return f"max by ({BY}) (service_slo:slo_errors:ratio_rate{window}{CHOSEN}) / (1 - {OBJECTIVE})"


def state() -> str:
    """Return the query of each objective's state, as a number of the words in slo.py: the first that is true."""
    none, firing = f"{OBJECTIVE} * 0", 'ALERTS{alertstate="firing", category="slo", alertname!="ErrorBudgetSpent", '
    page, ticket = (
        f'{none} + on ({BY}) max by ({BY}) ({firing}severity="{severity}"}} * {value})'
        for severity, value in (("critical", 2), ("warning", 1))
    )
    down = f"{none} + 4 and on (service) {SERVICE_UP} == 0"
    # No alert is sent for a budget while its cause has one: that is no reason to call the objective met.
    burning = f"{none} + 0.5 and on ({BY}) ({_burns()})"
    return f"{down} or {page} or {none} + 3 and {BUDGET_LEFT} <= 0 or {ticket} or {burning} or {none}"


def _burns() -> str:
    """Return the query of the objectives whose budget burns over both windows of an alert."""
    windows = ((burn.factor, burn.long, burn.short) for burn in BURN_RATES)
    return " or ".join(
        f"({burn_rate(long)}) > {factor:g} and ({burn_rate(short)}) > {factor:g}" for factor, long, short in windows
    )


def describe(slos: Iterable[Slo]) -> str:
    """Return the query of the objectives, with their titles and the names of their alerts as labels."""
    parts = []
    for slo in slos:
        which = selector(equal("slo", slo.name), *chosen("service", "slo"))
        objective = f"max by ({BY}) (last_over_time(service_slo:slo_objective:ratio{which}[1d]))"
        parts.append(_with_label(_with_label(objective, "title", slo.title), "alert", slo.alert))
    return " or ".join([*parts, f"{OBJECTIVE} unless on (slo) ({' or '.join(parts)})" if parts else OBJECTIVE])


def _with_label(expr: str, label: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'label_replace({expr}, "{label}", "{escaped}", "", "")'


def by_cause(slo: Slo, kind: str) -> str:
    """Return the query of an objective's `bad` or `total` events per second of the time range, by their cause."""
    expr = {"bad": slo.bad, "total": slo.total}[kind].replace("$window", "$__range")
    apart = BY_SERVICE.sub(f"by (service, {', '.join(CAUSES)})", expr)
    joined = ", ".join(f'"{label}"' for label in CAUSES)
    cause = _with_label(f'label_join({apart}, "cause", "", {joined})', "slo", slo.name)
    shown = f"last_over_time(service_slo:slo_objective:ratio{CHOSEN}[1d])"
    return f"sum by ({BY}, cause) ({cause}) and on ({BY}) {shown}"
