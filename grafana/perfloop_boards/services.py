"""The table of services: which answer, how much each serves, how fast and how well, and where to look further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.findings import HEALTH
from perfloop_boards.limits import Limit
from perfloop_boards.links import CLICKED, of_cell, to_board
from perfloop_boards.panels import About
from perfloop_boards.queries import Query, chosen, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import SERVICE_UP
from perfloop_boards.words import UP

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

SERVICE = selector(*chosen("service"))
# Of the error budget of the time since data began, 30 days at most: when it is spent, releases stop.
SPENT = Limit(warning=0.75, critical=1)
ROW = "Service"


def _of_answering(expr: str) -> Query:
    """Of a service that does not answer the last rates, an old percentile and a full budget say nothing about now."""
    return Query(f"max by (service) ({expr}) and on (service) {SERVICE_UP} == 1", instant=True)


def services(limits: Limits) -> AnyPanel:
    """Return the table of the chosen services, those that are down first."""
    failures = limits.signal("error_ratio")
    response = limits.signal("api_response_time_p95")
    to_service = to_board("Open this service", "service", service=CLICKED)
    of_row = (to_board("Open this service", "service", service=of_cell(ROW)),)
    to_analysis = (to_board("Open the analysis of this service", "analysis", service=of_cell(ROW)),)
    to_budgets = (to_board("Open the SLOs of this service", "slo", service=of_cell(ROW)),)
    return rows(
        About(
            "Services",
            "Those that are down come first: no instance answers, or all targets are gone, for an hour at most. Good: "
            "all up and green. A click on a service opens its board.",
            "none",
            "No service is monitored: add one to prometheus/targets/.",
        ),
        [
            Query(f"sort({SERVICE_UP})", instant=True),
            _of_answering(f"service:http_server_requests:rate1m{SERVICE}"),
            _of_answering(f"service:http_server_errors:ratio_rate1m{SERVICE} >= 0"),
            _of_answering(f"service:http_server_request_duration_seconds:p95_rate1m{SERVICE} >= 0"),
            Query(
                f"max by (service) (service_slo:slo_error_budget_spent:ratio{SERVICE}) "
                f"and on (service) {SERVICE_UP} == 1",
                instant=True,
            ),
            Query(f"min by (service) (perfloop_health_score{SERVICE}) and on (service) {SERVICE_UP}", instant=True),
        ],
        [
            Column("service", ROW, links=(to_service,)),
            Column("Value #A", "State", unit="none", words=UP, width=100, links=of_row),
            Column("Value #B", "Requests/s", unit="reqps", width=140, links=of_row),
            Column("Value #C", "Failed requests", unit="percentunit", limit=failures, width=160, links=of_row),
            Column("Value #D", "Response p95", unit="s", limit=response, width=150, links=of_row),
            Column("Value #E", "Budget spent", unit="percentunit", limit=SPENT, width=150, links=to_budgets),
            Column("Value #F", "Health score", unit="none", limit=HEALTH, width=150, links=to_analysis),
        ],
        sort="State",
        rising=True,
    )
