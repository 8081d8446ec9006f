"""What everything costs, by service and resource, what failures cost, and where the goal of saving stands.

Without prices there is no figure: the panels say how to give them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.findings import SILENCE, SILENT
from perfloop_boards.limits import Limit
from perfloop_boards.links import of_cell, of_label, to_board
from perfloop_boards.panels import About, figure, lines, number, stacked
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import ANALYZER, or_silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.panels import AnyPanel

OF_SERVICE = chosen("service")
NO_PRICES = "No cost is known: put a prices.yml beside thresholds.yml (docs/cost.md)."
NONE = "no prices"
CURRENCY = "max by (currency) (perfloop_price_info)"
# Two analyzers of one Prometheus publish the same cost: it is counted once.
COST = f"max by (service, resource) (perfloop_cost_per_hour{selector(*OF_SERVICE)})"
HOURS_A_MONTH = 730
GOAL = Limit(warning=0.25, critical=0.0, below=True)
BUDGET = Limit(warning=0.75, critical=1.0)
RESOURCES = {
    "cpu": colours.CPU,
    "memory": colours.MEMORY,
    "disk": colours.DISK,
    "network": colours.NETWORK,
    "gpu": colours.MODEL,
    "replicas": colours.TRAFFIC,
    "tokens": colours.SLOW,
}


def _money(expr: str) -> Query:
    """Return a query of an amount of money, named by its currency."""
    return Query(f"{CURRENCY} * on () group_left () {expr}", "{{currency}}")


def _of_kind(metric: str, kind: str) -> str:
    return f"max({metric}{selector(equal('kind', kind))})"


def _total() -> AnyPanel:
    return figure(
        About(
            "Cost per hour",
            "What the chosen services cost, and with all chosen what nobody has (unallocated). Good: falls while the "
            "traffic does not.",
            "none",
            NONE,
            decimals=2,
        ),
        _money(f"sum({COST})"),
        colours.TRAFFIC,
        watch=ANALYZER,
    )


def _reduction() -> AnyPanel:
    return number(
        About(
            "Cost reduction",
            "Share of the cost that is saved since the first recommendation was accepted, or since goal.since of "
            "prices.yml. Good: 25%. Below: see what is recommended.",
            "percentunit",
            "no baseline",
            decimals=0,
            links=(to_board("Open the Recommendations board", "recommendations"),),
        ),
        Query(_of_kind("perfloop_cost_reduction_ratio", "now")),
        GOAL,
        watch=ANALYZER,
    )


def _planned() -> AnyPanel:
    return number(
        About(
            "Planned reduction",
            "The cost reduction once everything that is recommended is done, and brings what is expected. Good: 25%. "
            "Below: the goal needs more than is recommended.",
            "percentunit",
            "no baseline",
            decimals=0,
            links=(to_board("Open the Recommendations board", "recommendations"),),
        ),
        Query(_of_kind("perfloop_cost_reduction_ratio", "planned")),
        GOAL,
        watch=ANALYZER,
    )


def _saving(kind: str, title: str, good: str) -> AnyPanel:
    return figure(
        About(
            title,
            good,
            "none",
            NONE,
            decimals=2,
            links=(to_board("Open the Recommendations board", "recommendations"),),
        ),
        _money(_of_kind("perfloop_savings_per_month", kind)),
        colours.GOOD if kind == "measured" else colours.EXPECTED,
        watch=ANALYZER,
    )


def _by_service() -> AnyPanel:
    cost = f"sum by (service) ({COST})"
    with_currency = f"{cost} * on () group_left (currency) {CURRENCY}"

    def beside(metric: str) -> str:
        own = f"max by (service) ({metric}{selector(*OF_SERVICE)})"
        return f"({with_currency}) * 0 + on (service) group_left () {own}"

    return rows(
        About(
            "Cost by service",
            "What a service has reserved or uses, in an hour and in a month of 730 hours. Good: what nobody has "
            "(unallocated) is small, and a thousand requests become cheaper.",
            "none",
            NO_PRICES,
        ),
        [
            Query(or_silent(with_currency, "service"), instant=True),
            Query(f"({with_currency}) * {HOURS_A_MONTH}", instant=True),
            Query(beside("perfloop_cost_per_thousand_requests"), instant=True),
            Query(beside("perfloop_cost_per_million_tokens"), instant=True),
        ],
        [
            Column(
                "service",
                "Service",
                words=SILENT,
                links=(to_board("Open the Service board", "service", service=of_cell("Service")),),
            ),
            Column("Value #A", "Per hour", unit="none", decimals=3, width=95),
            Column("Value #B", "Per month", unit="none", decimals=2, width=100),
            Column("Value #C", "1,000 requests", unit="none", decimals=4, width=125),
            Column("Value #D", "Million tokens", unit="none", decimals=2, width=120),
            Column("currency", "Currency", width=85),
        ],
        sort="Per hour",
    )


def _course() -> AnyPanel:
    return stacked(
        About(
            "Cost by resource",
            "The cost of an hour over time. Good: follows the traffic. A step: look what was changed then.",
            "none",
            NO_PRICES,
            decimals=2,
            links=(to_board("Open the Service board", "service", service=of_label("service")),),
        ),
        [Query(f"sum by (resource) ({COST})", "{{resource}}"), SILENCE],
        known=RESOURCES,
    )


def _goal() -> AnyPanel:
    return lines(
        About(
            "Cost, budget and goal",
            "The cost of an hour of everything, beside what it was when saving began, the goal, and the budget of "
            "prices.yml. Good: at the goal or below.",
            "none",
            NO_PRICES,
            decimals=2,
            links=(to_board("Open the Recommendations board", "recommendations"),),
        ),
        [
            Query("sum(max by (service, resource) (perfloop_cost_per_hour))", "cost", colours.TRAFFIC),
            Query("max(perfloop_cost_baseline_per_hour)", "baseline", colours.EXPECTED, dashed=True),
            Query("max(perfloop_cost_goal_per_hour)", "goal", colours.EXPECTED_LEAST, dashed=True),
            Query("max(perfloop_cost_budget_per_hour)", "budget", colours.CALLER, dashed=True),
            SILENCE,
        ],
    )


def _failures() -> AnyPanel:
    def part(name: str) -> str:
        return f"max by (service, slo) (perfloop_error_budget_cost{selector(*OF_SERVICE, equal('part', name))})"

    return rows(
        About(
            "Cost of failures",
            "What the requests cost that broke their objective within its 30 days, and what the objective allows in "
            "all of them. Good: under three quarters.",
            "none",
            NO_PRICES,
        ),
        [
            Query(or_silent(part("spent"), "slo"), instant=True),
            Query(part("allowed"), instant=True),
            Query(f"{part('spent')} / {part('allowed')}", instant=True),
        ],
        [
            Column(
                "service",
                "Service",
                width=100,
                links=(to_board("Open the Service board", "service", service=of_cell("Service")),),
            ),
            Column("slo", "Objective", words=SILENT),
            Column("Value #A", "Spent", unit="none", decimals=2, width=90),
            Column("Value #B", "Allowed in 30 d", unit="none", decimals=2, width=125),
            Column("Value #C", "Of 30 d", unit="percentunit", limit=BUDGET, decimals=0, width=80),
        ],
        sort="Of 30 d",
    )


def build_rows() -> Sequence[Row]:
    """Return the rows of cost."""
    expected = _saving(
        "expected",
        "Expected saving/month",
        "What the recommendations that stand save in a month, less what others cost. Good: worth the effort; the "
        "Recommendations board has the return of each.",
    )
    measured = _saving(
        "measured",
        "Measured saving/month",
        "What implemented recommendations save in a month, from the cost before and after. Good: near what was "
        "expected.",
    )
    return (
        Row(4, [(4, _total()), (5, _reduction()), (5, _planned()), (5, expected), (5, measured)], title="Cost"),
        Row(8, [(14, _by_service()), (10, _failures())]),
        Row(8, [(12, _course()), (12, _goal())]),
    )
