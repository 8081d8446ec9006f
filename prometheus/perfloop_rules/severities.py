"""One fault, one alert: a warning does not begin while the critical alert of the same series fires.

Alertmanager's inhibition does the same to messages, but it knows only the alerts that it has received since it was
started. After a restart Prometheus sends it the warning again, up to a minute before or after the critical alert, and
what began long ago is notified immediately. A warning that never fired cannot be notified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Rule = dict[str, Any]
SEVERITIES = ("critical", "warning")
# What a rule adds to its series: the other labels identify the subject of an alert.
ADDED = ("alertname", "alertstate", "severity", "category", "component", "owner")


@dataclass(frozen=True, slots=True)
class Reports:
    """Which alerts report the same fault, and how long an alert over long windows may not repeat them.

    Attributes:
        alerts: their names; critical ones count.
        window: for how long a report lies in the windows of the alert.
        still: PromQL that has a result while the fault goes on.
        quiet: after how long without a report `still` is about the time after it.
    """

    alerts: Iterable[str]
    window: str
    still: str
    quiet: str


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


def exclude_reported(expr: str, alert: str, severity: str, reports: Reports) -> str:
    """Return the condition of an alert over long windows without what another alert has reported already.

    The alert does not begin while its windows hold a fault that `reports.alerts` paged about, unless it goes on: the
    fault still shows in the shortest window, and nobody was paged for so long that this window is of afterwards. An
    alert that fires goes on to its own end.
    """
    names = "|".join(sorted(reports.alerts))
    paged = f'ALERTS{{alertname=~"{names}",severity="critical",alertstate="firing"}}'
    firing = f'ALERTS{{alertname="{alert}",severity="{severity}",alertstate="firing"}}'
    afterwards = f"({reports.still} unless on (service) max_over_time({paged}[{reports.quiet}]))"
    reported = f"max_over_time({paged}[{reports.window}]) unless on (service) ({firing} or {afterwards})"
    return f"({expr}) unless on (service) ({reported})"
