"""How much more load a service carries, and what limits it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row, evenly
from perfloop_boards.findings import SILENCE, SILENT
from perfloop_boards.limits import plain
from perfloop_boards.links import of_cell, of_label, to_board
from perfloop_boards.panels import About, figure, lines, number
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import ANALYZER, or_silent
from perfloop_boards.words import GOAL, RESOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.limits import Limits
    from perfloop_boards.links import Link
    from perfloop_boards.panels import AnyPanel

OF_SERVICE = chosen("service")
NOT_KNOWN = "No capacity is known: the data carry none yet. The analyzer's page says why."
REQUESTS = "reqps"
TO_LOAD_TEST = to_board("Open the Load test board", "load-test")


def _of_service() -> tuple[Link, ...]:
    return (to_board("Open the Service board", "service", service=of_cell("Service")),)


def _capacity(bound: str) -> str:
    matchers = selector(*OF_SERVICE, equal("bound", bound))
    return f"max by (service) (perfloop_capacity_requests_per_second{matchers})"


def _least(limits: Limits) -> AnyPanel:
    headroom = limits.alert("HeadroomLow", below=True)
    return number(
        About(
            "Least headroom",
            f"Capacity over the request rate now, of the service with the least. Good: above {plain(headroom.first)}. "
            "Below: add replicas, or widen the first limit.",
            "none",
            "none known",
            decimals=1,
            links=(TO_LOAD_TEST,),
        ),
        Query(f"min(perfloop_headroom_ratio{selector(*OF_SERVICE)})"),
        headroom,
        watch=ANALYZER,
    )


def _goal(*matchers: str) -> str:
    return f"max by (service, goal, state) (perfloop_capacity_goal_info{selector(*OF_SERVICE, *matchers)})"


def _goals_met() -> AnyPanel:
    return figure(
        About(
            "Goals met",
            "Share of the capacity goals that are shown to be met; the table below has each. Good: all. Not shown: run "
            "a load test up to the goal.",
            "percentunit",
            "no goal",
            decimals=0,
            links=(TO_LOAD_TEST,),
        ),
        Query(f"(count({_goal(equal('state', 'met'))}) or vector(0)) / count({_goal()})"),
        colours.OTHER,
        watch=ANALYZER,
    )


def _carried() -> AnyPanel:
    return figure(
        About(
            "Capacity",
            "Requests per second that the services carry within their objectives, all together. Good: well above the "
            "rate that comes.",
            REQUESTS,
            "none known",
            links=(TO_LOAD_TEST,),
        ),
        Query(f"sum({_capacity('expected')})"),
        colours.OTHER,
        watch=ANALYZER,
    )


def _table(limits: Limits) -> AnyPanel:
    low = limits.alert("HeadroomLow", below=True)
    by_resource = f"max by (service, resource) (perfloop_capacity_limit_info{selector(*OF_SERVICE)})"

    def beside(expr: str) -> str:
        return f"{by_resource} * 0 + on (service) group_left () {expr}"

    headroom = f"min by (service) (perfloop_headroom_ratio{selector(*OF_SERVICE)})"
    return rows(
        About(
            "Capacity by service",
            "The highest request rate that keeps the objectives, with the bounds that hold it in 9 of 10 cases, and "
            f"the resource that ends it. Good: headroom above {plain(low.first)}.",
            "none",
            NOT_KNOWN,
        ),
        [
            Query(or_silent(beside(_capacity("expected")), "resource"), instant=True),
            Query(beside(_capacity("lower")), instant=True),
            Query(beside(_capacity("upper")), instant=True),
            Query(beside(headroom), instant=True),
        ],
        [
            Column("service", "Service", width=110, links=_of_service()),
            Column("Value #D", "Headroom", unit="none", limit=low, decimals=1, width=100),
            Column("Value #A", "Capacity", unit=REQUESTS, width=110),
            Column("Value #B", "At least", unit=REQUESTS, width=110),
            Column("Value #C", "At most", unit=REQUESTS, width=110),
            Column("resource", "First limit", words={**RESOURCE, **SILENT}),
        ],
        sort="Headroom",
        rising=True,
    )


def _course() -> AnyPanel:
    rate = f"sum by (service) (service:http_server_requests:rate1m{selector(*OF_SERVICE)})"
    return lines(
        About(
            "Request rate and capacity",
            "Good: the rate stays under the lower bound of the capacity (dashed).",
            REQUESTS,
            NOT_KNOWN,
            links=(to_board("Open the Service board", "service", service=of_label("service")),),
        ),
        [
            Query(rate, "{{service}} rate"),
            Query(_capacity("expected"), "{{service}} capacity"),
            Query(_capacity("lower"), "{{service}} at least", dashed=True),
            SILENCE,
        ],
        known={"rate": colours.TRAFFIC},
    )


def _goals() -> AnyPanel:
    return rows(
        About(
            "Capacity goals",
            "Whether a goal is shown to be met. Good: every goal is met. Not shown: run a load test up to the goal.",
            "none",
            "No service has served requests in the last day.",
        ),
        [Query(or_silent(_goal(), "state"), instant=True)],
        [
            Column("service", "Service", width=110, links=_of_service()),
            Column("goal", "Goal"),
            Column("state", "State", words={**GOAL, **SILENT}, width=100),
        ],
    )


def build_rows(limits: Limits) -> Sequence[Row]:
    """Return the rows of headroom."""
    return (
        Row(4, evenly(_least(limits), _goals_met(), _carried())),
        Row(8, [(24, _table(limits))]),
        Row(8, [(15, _course()), (9, _goals())]),
    )
