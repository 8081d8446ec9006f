"""Recording rules and multi-window, multi-burn-rate alerts of the SLOs, by the table of burn_rates.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from perfloop_base.burn_rates import BURN_RATES, PERIOD, PERIOD_SECONDS, WINDOWS, BurnRate
from perfloop_base.durations import parse_duration
from perfloop_rules.alert_facts import AlertFacts, while_firing
from perfloop_rules.explanations import explanation_templates
from perfloop_rules.severities import SEVERITIES, Reports, exclude_reported
from perfloop_rules.wording import DURATION, PERCENTAGE, VALUE_TEMPLATES, format_limit, runbook_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_base.slos import Slo

Rule = dict[str, Any]
BASE = WINDOWS[0]
# Rates over long windows move slowly: evaluating them every five seconds would only cost.
FAST_SECONDS = 15
FAST_INTERVAL, SLOW_INTERVAL = f"{FAST_SECONDS}s", "1m"
FAST = ("30m", "1h")
SERVICE = "var-service={{ $labels.service | urlquery }}"
SPENT = "ErrorBudgetSpent"
# No alert of a service is as specific as this one: Alertmanager silences them all meanwhile.
DOWN = "ServiceDown"
# The shortest window, the minute over which the alerts of signals judge, and their hold.
QUIET_MINUTES = 7
HOLD = "1m"


def ratio(window: str) -> str:
    """Return the name of the series with the share of bad events over a window."""
    return f"service_slo:slo_errors:ratio_rate{window}"


def recording_groups(slos: Iterable[Slo]) -> list[Rule]:
    """Return the groups that count events and turn them into ratios, budgets and burn rates."""
    base = [rule for slo in slos for rule in _base_rules(slo)]
    fast = [_ratio_rule(window) for window in FAST]
    slow = [_ratio_rule(window) for window in (*WINDOWS, PERIOD) if window not in (BASE, *FAST)]
    return [
        {"name": "slo-fast", "interval": FAST_INTERVAL, "rules": [*base, _ratio_rule(BASE), *fast, *_burn_rules()]},
        {"name": "slo-slow", "interval": SLOW_INTERVAL, "rules": [*slow, *_budget_rules()]},
    ]


def _base_rules(slo: Slo) -> list[Rule]:
    labels = {"slo": slo.name}
    total, bad = (text.replace("$window", BASE) for text in (slo.total, slo.bad))
    return [
        {"record": f"service_slo:slo_events:rate{BASE}", "expr": total, "labels": labels},
        {"record": f"service_slo:slo_errors:rate{BASE}", "expr": bad, "labels": labels},
        {
            "record": "service_slo:slo_objective:ratio",
            "expr": f"({total}) * 0 + {slo.objective:.12g}",
            "labels": labels,
        },
    ]


def _ratio_rule(window: str) -> Rule:
    if window == BASE:
        expr = f"service_slo:slo_errors:rate{BASE} / service_slo:slo_events:rate{BASE}"
    else:
        # Sums of rates, not a mean of ratios: a busy hour weighs more than a quiet one.
        errors, events = (
            f"sum_over_time(service_slo:slo_{kind}:rate{BASE}[{window}])" for kind in ("errors", "events")
        )
        expr = f"{errors} / {events}"
    return {"record": ratio(window), "expr": expr}


def _burn_rules() -> list[Rule]:
    burn = f"{ratio('1h')} / (1 - service_slo:slo_objective:ratio)"
    return [{"record": "service_slo:slo_burn_rate:ratio_rate1h", "expr": burn}]


def _budget_rules() -> list[Rule]:
    # A service younger than the period has spent only its share: ten bad minutes of the first day are ten minutes.
    objective, window = "service_slo:slo_objective:ratio", "service_slo:slo_window:seconds"
    samples = f"count_over_time(service_slo:slo_events:rate{BASE}[{PERIOD}])"
    left = f"1 - {ratio(PERIOD)} * {window} / {PERIOD_SECONDS:.0f} / (1 - {objective})"
    gone = (
        f"clamp_min(service_slo:slo_error_budget_left:ratio, 0) * {PERIOD_SECONDS:.0f}"
        " / (service_slo:slo_burn_rate:ratio_rate1h > 0)"
    )
    return [
        {"record": window, "expr": f"clamp_max({samples} * {FAST_SECONDS}, {PERIOD_SECONDS:.0f})"},
        {"record": "service_slo:slo_window:info", "expr": _window_in_words(window)},
        {"record": "service_slo:slo_error_budget_left:ratio", "expr": left},
        # Of the budget of the events that were seen: the share that people compare with the alert beside it.
        {"record": "service_slo:slo_error_budget_spent:ratio", "expr": f"{ratio(PERIOD)} / (1 - {objective})"},
        {"record": "service_slo:slo_budget_gone:seconds", "expr": gone},
    ]


def _window_in_words(window: str) -> str:
    """Return the query of how much data there is, as a label: `12 d`, `5 h`, `40 min`."""
    units = ((86_400, "d", f"{window} >= {2 * 86_400}"), (3600, "h", f"{window} >= {2 * 3600}"), (60, "min", window))
    return " or on (service, slo) ".join(
        f'label_replace(count_values by (service, slo) ("window", floor(({known}) / {seconds})), '
        f'"window", "$1 {name}", "window", "(.+)")'
        for seconds, name, known in units
    )


def alert_groups(slos: Iterable[Slo], alerts: Mapping[str, str]) -> list[Rule]:
    """Return one group of alerts per SLO, and the alert of a budget that is spent.

    Args:
        slos: the objectives.
        alerts: the name of the alert on each signal of thresholds.yml.
    """
    slos = list(slos)
    groups = [
        {
            "name": f"slo-{slo.name}",
            "interval": FAST_INTERVAL,
            "rules": [_alert(slo, severity, alerts.get(slo.signal)) for severity in SEVERITIES],
        }
        for slo in slos
    ]
    return [*groups, {"name": "slo-budgets", "rules": [_spent(slo) for slo in slos]}]


def alert_facts(slos: Iterable[Slo]) -> list[AlertFacts]:
    """Return what boards show of the alerts of every SLO."""
    slos = list(slos)
    left = "service_slo:slo_error_budget_left:ratio"
    burning_facts = [
        AlertFacts(
            alert=slo.alert,
            summary=f"{slo.title}: error budget burns",
            dashboard=_dashboard(slo),
            signal=slo.signal,
            unit="ratio",
            value=while_firing(slo.alert, f'{ratio("1h")}{{slo="{slo.name}"}}', "service", "slo"),
        )
        for slo in slos
    ]
    spent = AlertFacts(
        SPENT, "Error budget spent", f"/d/slo?{SERVICE}", "", "ratio", while_firing(SPENT, left, "service", "slo")
    )
    return [*burning_facts, spent] if slos else []


def burning(slo: Slo, burn: BurnRate) -> str:
    """Return the condition of one pair of windows."""
    limit = f"{burn.factor:g} * {slo.budget:.12g}"
    which = f'{{slo="{slo.name}"}}'
    return f"({ratio(burn.long)}{which} > {limit} and {ratio(burn.short)}{which} > {limit} and {_gate(slo, burn.long)})"


def _gate(slo: Slo, window: str) -> str:
    """Return the condition that enough events happened: the sum of the recorded rate times its interval."""
    events = f'sum_over_time(service_slo:slo_events:rate{BASE}{{slo="{slo.name}"}}[{window}])'
    return f"{events} * {FAST_SECONDS} >= {slo.minimum_events:g}"


def _alert(slo: Slo, severity: str, signal_alert: str | None) -> Rule:
    burns = [burn for burn in BURN_RATES if burn.severity == severity]
    expr = " or ".join(burning(slo, burn) for burn in burns)
    value = VALUE_TEMPLATES["ratio"]
    limits = " or ".join(
        f"{format_limit(round(burn.factor * slo.budget, 12), 'ratio')} over {burn.long}" for burn in burns
    )
    return {
        "alert": slo.alert,
        "expr": exclude_reported(expr, slo.alert, severity, _reports(slo, burns, signal_alert)),
        # Time for the signal's own alert to fire first, whatever is short: the windows of a service that is new.
        "for": HOLD,
        "labels": _labels(slo, severity),
        "annotations": {
            "summary": f"{slo.title}: the error budget burns too fast, {value} were not (limit {limits})",
            "resolved": f"{slo.title}: the error budget of the {_objective(slo)} objective no longer burns too fast",
            "description": f"{{{{ $labels.service }}}}: {value} of events were bad,"
            f" {format_limit(slo.budget, 'ratio')} may be. {_FACTS}",
            "value": value,
            "threshold": limits,
            **explanation_templates(slo.alert, severity, slo.signal),
            **_links(slo, slo.alert),
        },
    }


def _reports(slo: Slo, burns: list[BurnRate], signal_alert: str | None) -> Reports:
    """Return which alerts have reported a fault that the windows of these burn rates still hold."""
    alerts = {DOWN, *([signal_alert] if signal_alert else [])}
    if burns[0].severity != SEVERITIES[0]:
        alerts.add(slo.alert)  # what was critical is not announced as a warning when it is over
    slowest = min(burn.factor for burn in burns)
    longest = max(parse_duration(burn.short) for burn in burns) / 60
    still = f'{ratio(BASE)}{{slo="{slo.name}"}} > {slowest:g} * {slo.budget:.12g}'
    return Reports(alerts, f"{longest + QUIET_MINUTES:.0f}m", still, f"{QUIET_MINUTES}m")


def _objective(slo: Slo) -> str:
    return format_limit(slo.objective, "ratio")


def _query(series: str, render: str) -> str:
    query = f'printf "{series}{{service=%q,slo=%q}}" $labels.service $labels.slo'
    return f"{{{{ range query ({query}) }}}}{render}{{{{ end }}}}"


_FACTS = (
    _query("service_slo:slo_burn_rate:ratio_rate1h", "It burns {{ .Value | humanize }} times too fast. ")
    + _query("service_slo:slo_error_budget_left:ratio", f"{{{{ .Value | {PERCENTAGE} }}}} of the budget is left")
    + _query("service_slo:slo_budget_gone:seconds", f", gone in {{{{ .Value | {DURATION} }}}} at this rate")
    + "."
)


def _spent(slo: Slo) -> Rule:
    which, value = f'{{slo="{slo.name}"}}', VALUE_TEMPLATES["ratio"]
    return {
        "alert": SPENT,
        "expr": f"service_slo:slo_error_budget_left:ratio{which} <= 0 and {_gate(slo, '1d')}",
        "for": "5m",
        "labels": _labels(slo, "warning") | {"slo": slo.name},  # one rule per SLO under one name
        "annotations": {
            "summary": f"{slo.title}: the error budget of the {_objective(slo)} objective is spent",
            "resolved": f"{slo.title}: there is error budget for the {_objective(slo)} objective again",
            "description": (
                f"{{{{ $labels.service }}}}: {value} of the error budget of {{{{ $labels.slo }}}} remains for {PERIOD}."
            ),
            "value": value,
            "threshold": format_limit(0, "ratio"),
            **_links(slo, SPENT),
        },
    }


def _labels(slo: Slo, severity: str) -> dict[str, str]:
    return {"severity": severity, "category": "slo", "component": slo.component, "owner": slo.owner}


def _links(slo: Slo, alert: str) -> dict[str, str]:
    return {
        "dashboard": _dashboard(slo),
        "runbook_url": runbook_url(alert),
    }


def _dashboard(slo: Slo) -> str:
    """Return the address of the board with this objective alone."""
    return f"/d/slo?var-slo={quote_plus(slo.name)}&{SERVICE}"
