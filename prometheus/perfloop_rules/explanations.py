"""What a message says of an alert's cause and remedy: about the alert's own signal, as it was when the alert fired.

Prometheus renders the annotations of an alert at every evaluation, and Alertmanager sends the newest. A query for
the cause of now would give a reminder, hours later, the cause of something else. So the first answer of the analyzer
while an alert fires is recorded, and stays for as long as it fires: each of the two series below continues itself.
"""

from __future__ import annotations

from typing import Any

from perfloop_base.alerts import FIRING_ALERTS
from perfloop_base.promql import quote

Rule = dict[str, Any]
CAUSE_NOW, RECOMMENDATION_NOW = "perfloop_signal_cause_score", "perfloop_signal_recommendation_info"
CAUSE, RECOMMENDATION = "service:alert_cause:at_firing", "service:alert_recommendation:at_firing"
# The facts of an alert that do not change, one series for each name (see alert_facts.py).
FACTS = "service:alert:info"
FIRING = f"max without (alertstate) ({FIRING_ALERTS})"
_SHARE = '{{ .Labels.cause }} ({{ .Value | printf "%.0f" }} %)'


def recording_rules() -> list[Rule]:
    """Return the rules that keep the cause and the recommendation of the moment of firing."""
    return [
        {"record": CAUSE, "expr": _keep_first(CAUSE, CAUSE_NOW, "cause")},
        {"record": RECOMMENDATION, "expr": _keep_first(RECOMMENDATION, RECOMMENDATION_NOW, "title")},
    ]


def _keep_first(record: str, now: str, label: str) -> str:
    """Return what a series was an evaluation ago for each alert that still fires, and what `now` says for new ones.

    `record` as it stands ends with its alert, since Prometheus marks its end, and outlives a restart of Prometheus, at
    which nothing is marked.
    """
    # One for each signal, whatever is scraped twice: two would break the rule.
    first = f"topk by (service, signal) (1, {now})"
    matched = f'label_replace({first}, "about", "$1", "signal", "(.+)")'
    found = f"{FIRING} * on (alertname) group_left (about) {FACTS} * on (service, about) group_left ({label}) {matched}"
    return (
        f"({record} and ignoring ({label}) {FIRING}) or "
        f"(max without (about) ({found}) unless ignoring ({label}) {record})"
    )


def explanation_templates(alert: str, severity: str, signal: str) -> dict[str, str]:
    """Return the templates of cause and recommendation; none for an alert that is about no signal of the analyzer.

    An empty annotation is left out of the message. The newest answer stands in until the first one is recorded, which
    is an evaluation later.
    """
    if not signal:
        return {}
    which = f'{{alertname="{alert}",severity="{severity}",service=%q}}'
    about = f'{{signal="{signal}",service=%q}}'
    cause = f"topk(1, 100 * ({CAUSE}{which} or on () {CAUSE_NOW}{about}))"
    advice = f"topk(1, {RECOMMENDATION}{which} or on () {RECOMMENDATION_NOW}{about})"
    return {"cause": _ask(cause, _SHARE), "recommendation": _ask(advice, "{{ .Labels.title }}")}


def _ask(query: str, shown: str) -> str:
    services = " $labels.service" * query.count("%q")
    return f"{{{{ range query (printf {quote(query)}{services}) }}}}{shown}{{{{ end }}}}"
