"""Recording rules and multi-window, multi-burn-rate alerts of the SLOs.

Burn rates after the Google SRE Workbook, chapter 5 "Alerting on SLOs", section 6: budget consumed * period / window,
for a period of 30 days. The short window, a twelfth of the long one, ends the alert soon after the burning ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_rules.severities import SEVERITIES, tell_once
from perfloop_rules.wording import CAUSE, ask_recommendation, runbook_url

if TYPE_CHECKING:
    from perfloop_rules.slos import Slo

Rule = dict[str, Any]
BASE = "5m"
WINDOWS = ("30m", "1h", "2h", "6h", "1d", "3d", "30d")
PERIOD_SECONDS = 30 * 24 * 3600
SECONDS = {
    "5m": 300,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "6h": 21600,
    "1d": 86400,
    "3d": 259200,
    "30d": PERIOD_SECONDS,
}
# Rates over long windows move slowly: asking for them every five seconds would only cost.
FAST_INTERVAL, SLOW_INTERVAL = "15s", "1m"
FAST = ("30m", "1h")


@dataclass(frozen=True, slots=True)
class Burn:
    """A pair of windows, the share of the budget that the long one may eat, and who is told."""

    severity: str
    long: str
    short: str
    consumed: float

    @property
    def factor(self) -> float:
        """How many times faster than allowed: 14.4, 6, 3 and 1."""
        return round(self.consumed * PERIOD_SECONDS / SECONDS[self.long], 6)


BURNS = (
    Burn("critical", "1h", "5m", 0.02),
    Burn("critical", "6h", "30m", 0.05),
    Burn("warning", "1d", "2h", 0.10),
    Burn("warning", "3d", "6h", 0.10),
)


def ratio(window: str) -> str:
    """Return the name of the series with the share of bad events over a window."""
    return f"service_slo:slo_errors:ratio_rate{window}"


def recording_groups(slos: tuple[Slo, ...]) -> list[Rule]:
    """Return the groups that count events and turn them into ratios, budgets and burn rates."""
    base = [rule for slo in slos for rule in _base_rules(slo)]
    fast = [_ratio_rule(window) for window in WINDOWS if window in FAST]
    slow = [_ratio_rule(window) for window in WINDOWS if window not in FAST]
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
    seen = f"count_over_time(service_slo:slo_events:rate{BASE}[30d]) * {FAST_INTERVAL.rstrip('s')} / {PERIOD_SECONDS}"
    left = f"1 - {ratio('30d')} * clamp_max({seen}, 1) / (1 - service_slo:slo_objective:ratio)"
    gone = (
        f"clamp_min(service_slo:slo_error_budget_left:ratio, 0) * {PERIOD_SECONDS}"
        " / (service_slo:slo_burn_rate:ratio_rate1h > 0)"
    )
    return [
        {"record": "service_slo:slo_error_budget_left:ratio", "expr": left},
        {"record": "service_slo:slo_budget_gone:seconds", "expr": gone},
    ]


def alert_groups(slos: tuple[Slo, ...]) -> list[Rule]:
    """Return one group of alerts per SLO, and the alert of a budget that is spent."""
    groups = [
        {
            "name": f"slo-{slo.name}",
            "interval": FAST_INTERVAL,
            "rules": tell_once([_alert(slo, one) for one in SEVERITIES]),
        }
        for slo in slos
    ]
    return [*groups, {"name": "slo-budgets", "rules": [_spent(slo) for slo in slos]}]


def burning(slo: Slo, burn: Burn) -> str:
    """Return the condition of one pair of windows."""
    limit = f"{burn.factor:g} * {slo.budget:.12g}"
    which = f'{{slo="{slo.name}"}}'
    return f"({ratio(burn.long)}{which} > {limit} and {ratio(burn.short)}{which} > {limit} and {_gate(slo, burn.long)})"


def _gate(slo: Slo, window: str) -> str:
    """Return the condition that enough events happened: the sum of the recorded rate times its interval."""
    events = f'sum_over_time(service_slo:slo_events:rate{BASE}{{slo="{slo.name}"}}[{window}])'
    return f"{events} * {FAST_INTERVAL.rstrip('s')} >= {slo.minimum_events:g}"


def _alert(slo: Slo, severity: str) -> Rule:
    expr = " or ".join(burning(slo, burn) for burn in BURNS if burn.severity == severity)
    return {
        "alert": slo.alert,
        "expr": expr,
        "labels": _labels(slo, severity),
        "annotations": _annotations(slo, "is burning its error budget too fast")
        | {
            "description": (
                "{{ $labels.service }}: {{ $value | humanizePercentage }} of events were bad,"
                f" {slo.budget * 100:g} % may be. {_FACTS}"
            ),
            "value": "{{ $value | humanizePercentage }}",
            "threshold": " or ".join(
                f"{burn.factor * slo.budget * 100:g} % over {burn.long}" for burn in BURNS if burn.severity == severity
            ),
            "cause": CAUSE,
            "recommendation": ask_recommendation(slo.component),
        },
    }


def _ask(series: str, render: str) -> str:
    question = f'printf "{series}{{service=%q,slo=%q}}" $labels.service $labels.slo'
    return f"{{{{ range query ({question}) }}}}{render}{{{{ end }}}}"


_FACTS = (
    _ask("service_slo:slo_burn_rate:ratio_rate1h", "It burns {{ .Value | humanize }} times too fast. ")
    + _ask("service_slo:slo_error_budget_left:ratio", "{{ .Value | humanizePercentage }} of the budget is left")
    + _ask("service_slo:slo_budget_gone:seconds", ", gone in {{ .Value | humanizeDuration }} at this rate")
    + "."
)


def _spent(slo: Slo) -> Rule:
    which = f'{{slo="{slo.name}"}}'
    return {
        "alert": "ErrorBudgetSpent",
        "expr": f"service_slo:slo_error_budget_left:ratio{which} <= 0 and {_gate(slo, '1d')}",
        "for": "5m",
        "labels": _labels(slo, "warning") | {"slo": slo.name},  # one rule per SLO under one name
        "annotations": _annotations(slo, "has spent its error budget of 30 days", alert="ErrorBudgetSpent")
        | {
            "description": (
                "{{ $labels.service }}: no budget is left for {{ $labels.slo }}: {{ $value | humanizePercentage }}."
            ),
            "value": "{{ $value | humanizePercentage }}",
            "threshold": "0 %",
        },
    }


def _labels(slo: Slo, severity: str) -> dict[str, str]:
    return {"severity": severity, "category": "slo", "component": slo.component, "owner": slo.owner}


def _annotations(slo: Slo, what: str, alert: str = "") -> dict[str, str]:
    return {
        "summary": f"{slo.title}: the promise of {slo.objective * 100:g} % {what}",
        "dashboard": "/d/alerts?var-service={{ $labels.service | urlquery }}",
        "runbook_url": runbook_url(alert or slo.alert),
    }
