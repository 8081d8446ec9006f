"""What is wrong now, and what to do about it: incidents, firing alerts, and the first recommendations, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.alerts import SILENCE
from perfloop_boards.findings import OPEN, SILENT, to_evidence, to_incident
from perfloop_boards.links import CLICKED, of_cell, to_board, to_runbook
from perfloop_boards.panels import About
from perfloop_boards.queries import ALERT_LABELS, Query, chosen, firing_by_severity, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import or_silent
from perfloop_boards.words import PRIORITY, RESOURCE, SEVERITY

if TYPE_CHECKING:
    from perfloop_boards.panels import AnyPanel

SERVICE = selector(*chosen("service"))
FIRING = firing_by_severity("", *ALERT_LABELS)
SHOWN = 5


def incidents() -> AnyPanel:
    """Return the table of incidents with their most probable cause, the longest first."""
    cause = "topk by (incident) (1, max by (incident, service, resource) (perfloop_root_cause_score)) * 0"
    start = f"min by (incident) (perfloop_incident_start_timestamp_seconds{SERVICE}) * 1000"
    of_row = (to_board("Open the analysis of this service", "analysis", service=of_cell("Service")),)
    return rows(
        About(
            "Incidents",
            "Each with its most probable cause, and since when it stands. Good: none. Fix the cause first: the other "
            "signals follow it.",
            "none",
            "No incident: all signals are within their limits.",
        ),
        [Query(or_silent(f"({cause} + on (incident) group_left () {start})", "resource", time=True), instant=True)],
        [
            Column("resource", "Probable cause", words={**RESOURCE, **SILENT}, links=of_row),
            Column("service", "Service", width=110, links=of_row),
            Column("incident", "Incident", width=210, links=(to_incident(CLICKED),)),
            Column("Value #A", "Since", unit="dateTimeFromNow", width=140),
        ],
        sort="Since",
        rising=True,
    )


def firing_now() -> AnyPanel:
    """Return the table of firing alerts, each once, critical ones first."""
    to_alert = to_board("Open this alert's history", "alerts", alertname=CLICKED)
    by = ", ".join((*ALERT_LABELS, "severity"))
    # An alert that fired within the last evaluation has the time of its condition.
    since = f"min by ({by}) (service:alert_firing_since:timestamp_seconds) or min by ({by}) (ALERTS_FOR_STATE)"
    return rows(
        About(
            "Firing alerts by severity",
            "Good: none. Critical ones come first: they have already paged someone. A click on an alert opens its "
            "runbook, its history or a silence.",
            "none",
            "No alert is firing.",
        ),
        [Query(f"({' or '.join(FIRING.values())}) * on ({by}) ({since}) * 1000", instant=True)],
        [
            Column("severity", "Severity", words=SEVERITY, width=90),
            Column("alertname", "Alert", links=(to_runbook(CLICKED), to_alert, SILENCE)),
            Column(
                "service",
                "Service",
                width=110,
                links=(to_board("Open the analysis of this service", "analysis", service=CLICKED),),
            ),
            Column("Value #A", "Since", unit="dateTimeFromNow", width=140),
        ],
        sort="Severity",
        rising=True,
    )


def top_recommendations() -> AnyPanel:
    """Return the table of the first open recommendations, in the order of the analyzer: by priority, then by gain."""
    by = "id, service, priority, title, gain_of"
    info = f"max by ({by}) (perfloop_recommendation_info{selector(*chosen('service'), OPEN)})"
    first = f"bottomk({SHOWN}, {info} * on (id) group_left () max by (id) (perfloop_recommendation_rank))"

    def of_first(metric: str, factor: str = "") -> str:
        return f"({first}) * 0 + on (id) group_left () max by (id) ({metric}){factor}"

    board = to_board("Open the Recommendations board", "recommendations", "service")
    return rows(
        About(
            "Top recommendations",
            "Open recommendations, by priority and then by expected gain. Accept one and mark it as implemented: its "
            "gain is then measured.",
            "none",
            "No open recommendation: all signals are within their limits.",
        ),
        [
            Query(or_silent(first, "title"), instant=True),
            Query(of_first("perfloop_recommendation_expected_improvement_ratio"), instant=True),
            Query(
                or_silent(of_first("perfloop_recommendation_start_timestamp_seconds", " * 1000"), "title", time=True),
                instant=True,
            ),
        ],
        [
            Column("Value #A", "#", unit="none", width=50),
            Column("priority", "Priority", words=PRIORITY, width=80),
            Column("title", "Recommendation", words=SILENT, links=(to_evidence(of_cell("id")), board)),
            Column("service", "Service", width=140, links=(board,)),
            Column("Value #B", "Expected gain", unit="percentunit", decimals=0, width=120),
            Column("gain_of", "Of", width=230),
            Column("Value #C", "Since", unit="dateTimeFromNow", width=140),
            Column("id", "id", hidden=True),
        ],
        sort="#",
        rising=True,
    )
