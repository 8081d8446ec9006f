"""Recording rules and alerts of the signals in thresholds.yml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfloop_base.promql import format_matchers, quote, with_quantile, without_series
from perfloop_rules import precision_rules
from perfloop_rules.alert_facts import AlertFacts, while_firing
from perfloop_rules.explanations import explanation_templates
from perfloop_rules.panels import OVERVIEW
from perfloop_rules.severities import exclude_critical
from perfloop_rules.wording import VALUE_TEMPLATES, format_limit, name_in_a_sentence, runbook_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_base.thresholds import Override, Severity, Signal, Thresholds

Rule = dict[str, Any]
# Longer than a scrape and an evaluation together: one late sample neither resolves an alert nor fires it again.
KEEP_FIRING = "20s"
P95 = ":p95_"
COMPARE = {"above": ">", "below": "<"}


def recording_groups(thresholds: Thresholds) -> list[Rule]:
    """Return the groups with the series of every signal, less the routes that are judged by limits of their own."""
    rules: list[Rule] = []
    for signal in thresholds.signals:
        routes = [one.labels for one in thresholds.overrides_of(signal.name) if one.route]
        rules.append({"record": signal.record, "expr": without_series(signal.expr, routes)})
        rules += _other_quantiles(signal, routes)
    return [{"name": "signals", "rules": rules}, *precision_rules.recording_groups(thresholds)]


def _other_quantiles(signal: Signal, routes: Sequence[Mapping[str, str]]) -> list[Rule]:
    """Return p50 and p99 beside the p95 of a signal with overridden routes: all three are of the same requests."""
    if not signal.record_by_route or P95 not in signal.record:
        return []
    return [
        {
            "record": signal.record.replace(P95, name),
            "expr": without_series(with_quantile(signal.expr, quantile), routes),
        }
        for name, quantile in ((":p50_", 0.5), (":p99_", 0.99))
    ]


def alert_groups(thresholds: Thresholds, panels: Mapping[str, str]) -> list[Rule]:
    """Return one group of alerts per category; `panels` has the address of the panel of each signal."""
    groups: dict[str, list[Rule]] = {}
    for signal in thresholds.signals:
        panel = {"dashboard": panels.get(signal.name, OVERVIEW)}
        rules = _signal_alerts(signal, thresholds.overrides_of(signal.name))
        groups.setdefault(signal.category, []).extend(
            rule | {"annotations": rule["annotations"] | panel} for rule in rules
        )
    return [{"name": f"thresholds-{category}", "rules": rules} for category, rules in groups.items()]


def alert_facts(thresholds: Thresholds, panels: Mapping[str, str]) -> list[AlertFacts]:
    """Return what boards show of the alerts of every signal."""
    return [
        AlertFacts(
            alert=signal.alert,
            summary=name_in_a_sentence(signal.title),
            dashboard=panels.get(signal.name, OVERVIEW),
            signal=signal.name,
            unit=signal.unit,
            value=_values(signal),
        )
        for signal in thresholds.signals
    ]


def _values(signal: Signal) -> str:
    own = while_firing(signal.alert, signal.record, *signal.by)
    if not signal.record_by_route:
        return own
    return f"{own} or {while_firing(signal.alert, signal.record_by_route, *signal.by, 'http_route')}"


def _signal_alerts(signal: Signal, overrides: Sequence[Override]) -> list[Rule]:
    rules = _alerts(signal, _default_series(signal, overrides), signal.limits)
    for override in overrides:
        record = signal.record_by_route if override.route else signal.record
        series = record + format_matchers(override.labels)
        label = {"override": f"{override.service}{override.route}"}
        overridden = _alerts(signal, series, override.limits)
        rules += [rule | {"labels": rule["labels"] | label} for rule in overridden]
    return rules


def _alerts(signal: Signal, series: str, limits: Mapping[Severity, float]) -> list[Rule]:
    """Return a rule for each limit, the critical one first."""
    rules = [_alert(signal, severity, series, limit) for severity, limit in sorted(limits.items())]
    return exclude_critical(rules, "signal", "override")


def _default_series(signal: Signal, overrides: Sequence[Override]) -> str:
    services = "|".join(sorted(re.escape(item.service) for item in overrides if item.service and not item.route))
    return f"{signal.record}{{service!~{quote(services)}}}" if services else signal.record


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
        "annotations": _annotations(signal, limit, by_route=by_route)
        | explanation_templates(signal.alert, severity, signal.name),
    }


def _gate(signal: Signal) -> str:
    """Return the minimum of events in the last minute below which nothing fires."""
    if not signal.traffic or not signal.minimum_events:
        return ""
    labels = ", ".join(signal.by)
    return f" and on ({labels}) {signal.traffic} * 60 >= {signal.minimum_events:g}"


def _annotations(signal: Signal, limit: float, *, by_route: bool) -> dict[str, str]:
    where = " ".join(f"{{{{ $labels.{label} }}}}" for label in (*signal.by, *(["http_route"] if by_route else [])))
    value = VALUE_TEMPLATES[signal.unit] if by_route else precision_rules.value_template(signal)
    threshold = format_limit(limit, signal.unit)
    bound, good_side = ("limit", "under") if signal.direction == "above" else ("minimum", "above")
    name = name_in_a_sentence(signal.title)
    found = {
        "summary": f"{name} at {value} ({bound} {threshold})",
        "resolved": f"{name} is back {good_side} its {bound}",
        "description": f"{where}: {value}, the {bound} is {threshold}.",
        "value": value,
        "threshold": threshold,
        "runbook_url": runbook_url(signal.alert),
    }
    if signal.record_by_route and not by_route:
        found["routes"] = _worst_routes(signal)
    return found


def _worst_routes(signal: Signal) -> str:
    value = VALUE_TEMPLATES[signal.unit].replace("$value", "$row.Value")
    query = f'printf "topk(3, {signal.record_by_route}{{service=%q}} > 0)" $labels.service'
    return (
        f"{{{{ range $at, $row := query ({query}) }}}}{{{{ if $at }}}}; {{{{ end }}}}"
        f"{{{{ $row.Labels.http_route }}}} {value}{{{{ end }}}}"
    )
