"""One fault, one alert: a warning does not begin while the critical alert of the same series fires.

Alertmanager's inhibition does the same to messages, but it knows only the alerts that it has received since it was
started. After a restart Prometheus sends it the warning again, up to a minute before or after the critical alert, and
what began long ago is notified immediately. A warning that never fired cannot be notified.
"""

from __future__ import annotations

from typing import Any

Rule = dict[str, Any]
SEVERITIES = ("critical", "warning")
# What a rule adds to its series: the other labels identify the subject of an alert.
ADDED = ("alertname", "alertstate", "severity", "category", "component", "owner")


def exclude_critical(rules: list[Rule], *labels: str) -> list[Rule]:
    """Return the rules of one alert, the warning's condition less what is critical already.

    `labels` are those that these rules add beyond what all rules do. The critical rule must stand before the warning's.
    """
    if not set(SEVERITIES) <= {rule["labels"]["severity"] for rule in rules}:
        return rules
    return [
        rule | {"expr": _without_critical(rule, labels)} if rule["labels"]["severity"] == "warning" else rule
        for rule in rules
    ]


def _without_critical(rule: Rule, labels: tuple[str, ...]) -> str:
    """A warning that fires by the time the critical alert does goes on to its end."""
    critical, warning = (
        f'ALERTS{{alertname="{rule["alert"]}",alertstate="firing",severity="{severity}"}}' for severity in SEVERITIES
    )
    # The critical rule stands before in the group, so its state of this very moment is known; an older one would be
    # found for five minutes after a restart of Prometheus.
    now = f"last_over_time({critical}[1s])"
    ignored = ", ".join((*ADDED, *labels))
    return f"({rule['expr']}) unless ignoring ({ignored}) ({now} unless ignoring (severity) {warning})"
