"""The board of objectives: what is promised, how much error budget is left, how fast it burns, and what burns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.burn_rates import BURN_RATES, PERIOD, PERIOD_SECONDS
from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import FIRST_IS_BAD, Limit, plain
from perfloop_boards.links import Link, of_cell, of_label, to_board
from perfloop_boards.objectives import (
    BUDGET_LEFT,
    BY,
    CHOSEN,
    EACH,
    GONE,
    OBJECTIVE,
    WINDOW,
    burn_rate,
    by_cause,
    describe,
    state,
)
from perfloop_boards.panels import About, figure, lines, number
from perfloop_boards.queries import Query, chosen, equal, known, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import SERVICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_base.burn_rates import BurnRate
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

LEFT = Limit(warning=0.25, critical=0, below=True)  # of the overview, too
PAGES = [burn for burn in BURN_RATES if burn.severity == "critical"]
TICKETS = [burn for burn in BURN_RATES if burn.severity == "warning"]
FACTORS = sorted(burn.factor for burn in BURN_RATES)
NOTHING = "No objective has had events: slos.yml says what each one counts."
STATE = {
    "0": ("met", colours.GOOD),
    "0.5": ("burning", colours.WARNING),
    "1": ("ticket", colours.WARNING),
    "2": ("page", colours.BAD),
    "3": ("spent", colours.BAD),
    "4": ("down", colours.BAD),
}
DETAIL = to_board("Show this objective alone", "slo", service=of_label("service"), slo=of_label("slo"))
SERVICE_BOARD = to_board("Open the Service board", "service", service=of_label("service"))


def _objectives_now() -> AnyPanel:
    return figure(
        About(
            "Objectives",
            "Objectives of the chosen services that have had events within a day. slos.yml has them.",
            "none",
            "none",
            decimals=0,
            links=(to_board("Open the Overview board", "overview", "service"),),
        ),
        # An objective is promised whether its service runs or not: nothing that this figure depends on can be down.
        Query(f"count({OBJECTIVE})"),
        colours.TRAFFIC,
    )


def _missed_now() -> AnyPanel:
    return number(
        About(
            "Budgets spent",
            f"Objectives without error budget: missed over {PERIOD}. Good: 0. Else stop releases, fix what fails.",
            "none",
            "no events",
            decimals=0,
            links=(to_board("Open the Alerts board", "alerts"),),
        ),
        Query(f"count({BUDGET_LEFT} <= 0) or count({BUDGET_LEFT}) * 0"),
        FIRST_IS_BAD,
        watch=SERVICES,
    )


def _left_now() -> AnyPanel:
    return number(
        About(
            "Least budget",
            f"Error budget remaining over {PERIOD}, of the objective that has the least. Good: above 25%. At 0%, stop "
            "releases and fix what fails.",
            "percentunit",
            "no events",
            decimals=0,
            links=(DETAIL, SERVICE_BOARD),
        ),
        Query(f"bottomk(1, {BUDGET_LEFT})", EACH),
        LEFT,
        watch=SERVICES,
    )


def _burn_now() -> AnyPanel:
    return number(
        About(
            "Fastest burn",
            f"How many times faster than allowed a budget burnt over 1 h: at 1 it lasts {PERIOD}. Good: under "
            f"{plain(FACTORS[0])}. Above {plain(FACTORS[-1])}, somebody is paged.",
            "none",
            "no events",
            decimals=1,
            links=(DETAIL, SERVICE_BOARD),
        ),
        Query(f"topk(1, {known(burn_rate('1h'))})", EACH),
        Limit(warning=FACTORS[0], critical=FACTORS[-1]),
        watch=SERVICES,
    )


def _gone_now() -> AnyPanel:
    ticket, page = (PERIOD_SECONDS / factor for factor in (TICKETS[0].factor, PAGES[0].factor))
    return number(
        About(
            "Budget gone in",
            "Of the budget that is gone first, at the burn rate of the last hour. Good: more than "
            f"{ticket / 86_400:.0f} days; under {page / 3600:.0f} hours, somebody is paged.",
            "s",
            "none burns",
            decimals=1,
            links=(DETAIL, SERVICE_BOARD),
        ),
        Query(f"bottomk(1, {GONE})", EACH),
        Limit(warning=ticket, critical=page, below=True),
        watch=SERVICES,
    )


def _alerts_now() -> AnyPanel:
    firing = f"ALERTS{selector(equal('alertstate', 'firing'), equal('category', 'slo'), *chosen('service', 'slo'))}"
    return number(
        About(
            "Alerts firing",
            "Budgets that burn too fast or are spent. Good: 0. The table has a link to each alert's runbook.",
            "none",
            "no events",
            decimals=0,
            links=(to_board("Open the Alerts board", "alerts"),),
        ),
        Query(f"count(max by (alertname, {BY}) ({firing})) or count({OBJECTIVE}) * 0"),
        FIRST_IS_BAD,
        watch=SERVICES,
    )


def _columns() -> list[Column]:
    alone = to_board("Show this objective alone", "slo", service=of_cell("Service"), slo=of_cell("Objective"))
    runbook = Link("Read the runbook", f"${{prometheus_url}}/user/runbook.html#{of_cell('Alert')}", new_tab=True)
    burns = [Limit(None, burn.factor) for burn in PAGES]
    windows = [burn.long for burn in PAGES]
    letters = "FG"
    return [
        Column(
            "service",
            "Service",
            width=90,
            links=(to_board("Open the Service board", "service", service=of_cell("Service")),),
        ),
        Column("slo", "Objective", width=105, links=(alone,)),
        Column("title", "Promise"),
        Column(
            "Value #B",
            "State",
            unit="none",
            words=STATE,
            width=70,
            links=(to_board("Open the Alerts board", "alerts", alertname=of_cell("Alert")),),
        ),
        Column("Value #A", "Goal", unit="percentunit", width=70),
        Column("Value #C", "Data of", unit="s", width=90),
        Column("Value #D", "Availability", unit="percentunit", width=95),
        Column("Value #E", "Budget left", unit="percentunit", limit=LEFT, full=1, width=130),
        *(
            Column(f"Value #{letter}", f"Burn {window}", unit="none", limit=limit, width=80)
            for letter, window, limit in zip(letters, windows, burns, strict=True)
        ),
        Column("Value #H", "Gone in", unit="s", width=90),
        Column(
            "alert",
            "Alert",
            width=185,
            links=(runbook, to_board("Open the Alerts board", "alerts", alertname=of_cell("Alert"))),
        ),
    ]


def _table(limits: Limits) -> AnyPanel:
    windows = [burn.long for burn in PAGES]
    values = [
        Query(describe(limits.slos.values()), instant=True),
        Query(state(), instant=True),
        Query(WINDOW, instant=True),
        Query(known(f"1 - max by ({BY}) (service_slo:slo_errors:ratio_rate{PERIOD}{CHOSEN})"), instant=True),
        Query(BUDGET_LEFT, instant=True),
        *(Query(known(burn_rate(window)), instant=True) for window in windows),
        Query(GONE, instant=True),
    ]
    return rows(
        About(
            "Objectives and their budgets",
            f"Good: every state is met. Data of: since when there is data, {PERIOD} at most. Burn rates count how many "
            f"times faster than allowed the budget of {PERIOD} burns over each window. Click an objective to see it "
            "alone below.",
            "none",
            NOTHING,
        ),
        values,
        _columns(),
        sort="State",
    )


def _budget_over_time() -> AnyPanel:
    return lines(
        About(
            "Error budget left over time",
            f"Good: level, or falling no faster than from 100% to 0% in {PERIOD}. A step down: an incident that used "
            "up its share at once.",
            "percentunit",
            NOTHING,
            links=(DETAIL, SERVICE_BOARD),
        ),
        [Query(f"service_slo:slo_error_budget_left:ratio{CHOSEN}", EACH)],
        LEFT,
    )


def _causes(limits: Limits) -> AnyPanel:
    bad, events = (
        " or ".join(by_cause(slo, kind) for slo in limits.slos.values()) or "vector(0) > 1" for kind in ("bad", "total")
    )
    share = f"topk(20, ({bad}) / on ({BY}) group_left () sum by ({BY}) ({bad}) > 0)"
    return rows(
        About(
            "Bad events by cause",
            "Bad events of the time range by route, model, database or cache, the largest share first. Good: no row. "
            "Start with the first: without it the budget would burn that much slower.",
            "none",
            "No bad event in this time range.",
        ),
        [
            Query(share, instant=True),
            Query(f"({bad}) * 3600 > 0", instant=True),
            Query(f"({bad}) / ({events}) > 0", instant=True),
        ],
        [
            Column(
                "service",
                "Service",
                width=100,
                links=(to_board("Open the Service board", "service", service=of_cell("Service")),),
            ),
            Column("slo", "Objective", width=110),
            Column(
                "cause",
                "Route or model",
                links=(
                    to_board(
                        "Open the Service board", "service", service=of_cell("Service"), route=of_cell("Route or model")
                    ),
                ),
            ),
            Column("Value #A", "Share of bad", unit="percentunit", full=1, width=130),
            Column("Value #B", "Bad/h", unit="none", width=75),
            Column("Value #C", "Of its events", unit="percentunit", width=105),
        ],
        sort="Share of bad",
    )


def _burn_over_time(burns: Sequence[BurnRate], then: str) -> AnyPanel:
    """Return the burn rates over the long windows of two alerts; `then` is what follows above their factors."""
    fast, slow = burns
    return lines(
        About(
            f"Burn rate over {fast.long} and {slow.long}",
            "How many times faster than allowed the budgets burn. Good: under the dashed lines. Above "
            f"{plain(fast.factor)} over {fast.long} or {plain(slow.factor)} over {slow.long}, {then}. The short window "
            "of each pair must burn, too.",
            "none",
            NOTHING,
            decimals=1,
            links=(DETAIL, SERVICE_BOARD),
        ),
        [Query(known(burn_rate(burn.long)), f"{EACH} {burn.long}") for burn in burns],
        Limit(warning=slow.factor, critical=fast.factor),
    )


def _events() -> AnyPanel:
    return lines(
        About(
            "Events",
            "What each objective counts: requests, first tokens, tokens per second. None: its budget neither burns nor "
            "recovers.",
            "suffix:/s",
            NOTHING,
            links=(DETAIL, SERVICE_BOARD),
        ),
        [Query(f"service_slo:slo_events:rate5m{CHOSEN}", EACH)],
    )


def _bad_events() -> AnyPanel:
    return lines(
        About(
            "Bad events",
            "Events per second that the objective does not allow: failed, or too slow. Good: they stay at zero.",
            "suffix:/s",
            NOTHING,
            links=(DETAIL, SERVICE_BOARD),
        ),
        [Query(f"service_slo:slo_errors:rate5m{CHOSEN}", EACH)],
    )


def _bad_share() -> AnyPanel:
    return lines(
        About(
            "Share of bad events",
            "Over five minutes. Good: under what the objective allows, the last of the lines of each.",
            "percentunit",
            NOTHING,
            links=(DETAIL, SERVICE_BOARD),
        ),
        [
            Query(known(f"service_slo:slo_errors:ratio_rate5m{CHOSEN}"), EACH),
            Query(f"1 - {OBJECTIVE}", f"{EACH} allowed", dashed=True),
        ],
    )


def build(limits: Limits) -> Board:
    """The board of objectives of a configuration."""
    return Board(
        uid="slo",
        title="SLOs",
        question="Are the objectives met, how fast do the error budgets burn, and what burns them?",
        related=("overview", "service", "alerts"),
        variables=(
            choice("service", "Service", "service_slo:slo_objective:ratio"),
            choice("slo", "Objective", 'service_slo:slo_objective:ratio{service=~"$service"}'),
        ),
        since="now-6h",
        rows=(
            Row(
                5,
                evenly(_objectives_now(), _missed_now(), _left_now(), _burn_now(), _gone_now(), _alerts_now()),
            ),
            Row(8, [(24, _table(limits))]),
            Row(10, evenly(_budget_over_time(), _causes(limits))),
            Row(10, evenly(_burn_over_time(PAGES, "somebody is paged"), _burn_over_time(TICKETS, "a warning is sent"))),
            Row(10, evenly(_events(), _bad_events(), _bad_share())),
        ),
    )
