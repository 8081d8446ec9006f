"""One thing, one alert: a warning does not begin while the critical alert of the same series fires.

Alertmanager's inhibition says the same of messages, but it knows only what it has been told since it was started. After
a restart Prometheus tells it the warning again, up to a minute before or after the critical alert, and what began long
ago is sent at once. A warning that never fired cannot be sent.
"""

from __future__ import annotations

SEVERITIES = ("critical", "warning")
# What a rule adds to its series: the rest says whether two alerts speak of the same thing.
ADDED = ("alertname", "alertstate", "severity", "category", "component", "owner")


def without_critical(alert: str, expr: str, *labels: str) -> str:
    """Return a warning's condition less what is critical already; a warning that fires by then goes on to its end.

    `labels` are those that this alert's rules add beyond what all rules do.
    """
    critical, warning = (f'ALERTS{{alertname="{alert}",alertstate="firing",severity="{one}"}}' for one in SEVERITIES)
    # The critical rule stands before in the group, so its state of this very moment is known; an older one would be
    # found for five minutes after a restart of Prometheus.
    now = f"last_over_time({critical}[1s])"
    return f"({expr}) unless ignoring ({', '.join((*ADDED, *labels))}) ({now} unless ignoring (severity) {warning})"
