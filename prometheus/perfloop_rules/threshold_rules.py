"""Recording rules and alerts of the signals in thresholds.yml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfloop_rules.pages import OVERVIEW
from perfloop_rules.severities import tell_once
from perfloop_rules.wording import CAUSE, VALUE_TEMPLATES, ask_recommendation, runbook_url, say_limit

if TYPE_CHECKING:
    from perfloop_rules.thresholds import Override, Severity, Signal, Thresholds

Rule = dict[str, Any]
# Longer than a scrape and an evaluation together: one late sample neither resolves an alert nor fires it anew.
KEEP_FIRING = "20s"
P95 = ":p95_"
COMPARE = {"above": ">", "below": "<"}
RATE = re.compile(r"rate\((?P<metric>[\w:]+)(?P<selector>\{[^}]*\})?\[\w+\]\)")


def recording_groups(thresholds: Thresholds) -> list[Rule]:
    """Return one group with the series of every signal."""
    rules: list[Rule] = []
    for signal in thresholds.signals:
        expr = without_routes(signal, thresholds.overrides)
        rules.append({"record": signal.record, "expr": expr})
        rules += _other_quantiles(signal, expr)
    return [{"name": "signals", "rules": rules}]


def _other_quantiles(signal: Signal, expr: str) -> list[Rule]:
    """Return p50 and p99 beside the p95 of a signal with overridden routes: all three speak of the same requests."""
    if not signal.record_by_route or P95 not in signal.record:
        return []
    return [
        {"record": signal.record.replace(P95, name), "expr": expr.replace("(0.95,", f"({quantile},")}
        for name, quantile in ((":p50_", "0.5"), (":p99_", "0.99"))
    ]


def without_routes(signal: Signal, overrides: tuple[Override, ...]) -> str:
    """Return the signal's expression less the routes that are judged by limits of their own."""
    selectors = [selector(override) for override in overrides if override.signal == signal.name and override.route]

    def less(match: re.Match[str]) -> str:
        left_out = "".join(f" unless {match['metric']}{one}" for one in selectors)
        return f"({match[0]}{left_out})"

    return RATE.sub(less, signal.expr) if selectors else signal.expr


def selector(override: Override) -> str:
    """Return the label selector of an override's series."""
    names = {"service": override.service, "http_route": override.route}
    return "{" + ",".join(f'{name}="{value}"' for name, value in names.items() if value) + "}"


def alert_groups(thresholds: Thresholds, pages: dict[str, str]) -> list[Rule]:
    """Return one group of alerts per category; `pages` says where each signal is shown."""
    groups: dict[str, list[Rule]] = {}
    for signal in thresholds.signals:
        page = {"dashboard": pages.get(signal.name, OVERVIEW)}
        rules = _signal_alerts(signal, thresholds.overrides)
        groups.setdefault(signal.category, []).extend(
            rule | {"annotations": rule["annotations"] | page} for rule in rules
        )
    return [{"name": f"thresholds-{category}", "rules": rules} for category, rules in groups.items()]


def _signal_alerts(signal: Signal, overrides: tuple[Override, ...]) -> list[Rule]:
    mine = [override for override in overrides if override.signal == signal.name]
    rules = _alerts(signal, _default_series(signal, mine), signal.limits)
    for override in mine:
        series = (signal.record_by_route if override.route else signal.record) + selector(override)
        label = {"override": f"{override.service}{override.route}"}
        overridden = _alerts(signal, series, override.limits)
        rules += [rule | {"labels": rule["labels"] | label} for rule in overridden]
    return rules


def _alerts(signal: Signal, series: str, limits: dict[Severity, float]) -> list[Rule]:
    """Return a rule for each limit, the critical one first."""
    rules = [_alert(signal, severity, series, limit) for severity, limit in sorted(limits.items())]
    return tell_once(rules, "signal", "override")


def _default_series(signal: Signal, overrides: list[Override]) -> str:
    services = "|".join(sorted(re.escape(item.service) for item in overrides if item.service and not item.route))
    return f'{signal.record}{{service!~"{services}"}}' if services else signal.record


def _alert(signal: Signal, severity: Severity, series: str, limit: float) -> Rule:
    by_route = series.startswith(signal.record_by_route or "-")
    return {
        "alert": signal.alert,
        "expr": f"{series} {COMPARE[signal.direction]} {limit:.15g}{_gate(signal)}",
        "for": signal.holds[severity],
        "keep_firing_for": KEEP_FIRING,
        "labels": {
            "severity": severity,
            "category": signal.category,
            "component": signal.component,
            "owner": signal.owner,
            "signal": signal.name,
        },
        "annotations": _annotations(signal, limit, by_route=by_route),
    }


def _gate(signal: Signal) -> str:
    """Return the minimum of events in the last minute below which nothing fires."""
    if not signal.traffic or not signal.minimum_events:
        return ""
    labels = ", ".join(signal.by)
    return f" and on ({labels}) {signal.traffic} * 60 >= {signal.minimum_events:g}"


def _annotations(signal: Signal, limit: float, *, by_route: bool) -> dict[str, str]:
    where = " ".join(f"{{{{ $labels.{label} }}}}" for label in (*signal.by, *(["http_route"] if by_route else [])))
    value, threshold = VALUE_TEMPLATES[signal.unit], say_limit(limit, signal.unit)
    found = {
        "summary": f"{signal.title} is {signal.direction} its limit",
        "description": f"{where}: {value}, the limit is {threshold}.",
        "value": value,
        "threshold": threshold,
        "cause": CAUSE,
        "recommendation": ask_recommendation(signal.component),
        "runbook_url": runbook_url(signal.alert),
    }
    if signal.record_by_route and not by_route:
        found["routes"] = _worst_routes(signal)
    return found


def _worst_routes(signal: Signal) -> str:
    render = VALUE_TEMPLATES[signal.unit].replace("$value", ".Value")
    return (
        f'{{{{ range query (printf "topk(3, {signal.record_by_route}{{service=%q}} > 0)" $labels.service) }}}}'
        f"{{{{ .Labels.http_route }}}} {render}; {{{{ end }}}}"
    )
