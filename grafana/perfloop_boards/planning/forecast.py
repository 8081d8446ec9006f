"""How much traffic will come: the peaks of the next hour, day and week, beside what the service carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.findings import SILENCE, SILENT
from perfloop_boards.limits import IN_SIGHT, Limit
from perfloop_boards.links import of_cell, of_label, to_board
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import or_silent
from perfloop_boards.words import BUDGETS, name_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

OF_SERVICE = chosen("service")
NOT_KNOWN = "No forecast yet: an hour ahead takes 3 h of data, a day 3 days, a week 12 days."
REQUESTS = "reqps"
OF_OBJECTIVES = 'signal=~"error_budget|.+_p95"'
USED = Limit(warning=0.7, critical=0.9)
HORIZON = {name: (words, colours.UNKNOWN) for name, words in (("1h", "hour"), ("1d", "day"), ("1w", "week"))}


def _peak(bound: str, *matchers: str) -> str:
    chosen_ = selector(*OF_SERVICE, equal("bound", bound), *matchers)
    return f"max by (service, horizon) (perfloop_forecast_requests_per_second{chosen_})"


def _table() -> AnyPanel:
    capacity = selector(*OF_SERVICE, equal("bound", "expected"))
    of_service = to_board("Open the Service board", "service", service=of_cell("Service"))
    carried = f"max by (service) (perfloop_capacity_requests_per_second{capacity})"
    return rows(
        About(
            "Expected peaks",
            "The highest rate of five minutes to come, with the bounds that hold it in 9 of 10 cases. Good: under 70% "
            "of the capacity. Above: add replicas before it comes.",
            "none",
            NOT_KNOWN,
        ),
        [
            Query(or_silent(_peak("expected"), "horizon"), instant=True),
            Query(_peak("lower"), instant=True),
            Query(_peak("upper"), instant=True),
            Query(f"{_peak('expected')} / on (service) group_left () {carried}", instant=True),
        ],
        [
            Column("service", "Service", width=110, links=(of_service,)),
            Column("horizon", "Next", words={**HORIZON, **SILENT}, width=110),
            Column("Value #A", "Peak", unit=REQUESTS, width=100),
            Column("Value #B", "At least", unit=REQUESTS, width=100),
            Column("Value #C", "At most", unit=REQUESTS, width=100),
            Column("Value #D", "Of capacity", unit="percentunit", limit=USED, decimals=0),
        ],
    )


def _course() -> AnyPanel:
    rate = f"sum by (service) (service:http_server_requests:rate1m{selector(*OF_SERVICE)})"
    hour = equal("horizon", "1h")
    return lines(
        About(
            "Request rate and peak of the next hour",
            "What the forecast said at each moment of the hour after it. Good: the rate reaches the peak and stays "
            "under its upper bound (dashed).",
            REQUESTS,
            NOT_KNOWN,
            links=(to_board("Open the Service board", "service", service=of_label("service")),),
        ),
        [
            Query(rate, "{{service}} rate"),
            Query(_peak("expected", hour), "{{service}} peak"),
            Query(_peak("upper", hour), "{{service}} at most", dashed=True),
            SILENCE,
        ],
        known={"rate": colours.TRAFFIC},
    )


def _limits(limits: Limits) -> AnyPanel:
    def until(bound: str) -> str:
        matchers = selector(*OF_SERVICE, OF_OBJECTIVES, equal("bound", bound))
        return f"min by (service, signal, series) (perfloop_seconds_until_limit{matchers})"

    expected = until("expected")
    return rows(
        About(
            "Time to the limits of objectives",
            "When a response time reaches its limit if it goes on like this, and when an error budget is used up at "
            "the present burn. Good: never. Under a day: act now; under a week: plan. Not listed: not known yet.",
            "none",
            "Nothing is known yet: a response time takes 8 h of data, a budget 10 requests in an hour.",
        ),
        [
            Query(or_silent(f"{expected} < Inf", "signal"), instant=True),
            Query(until("lower"), instant=True),
            Query(until("upper"), instant=True),
            Query(f"clamp_max({expected} == Inf, 1)", instant=True),
        ],
        [
            Column(
                "service",
                "Service",
                width=110,
                links=(to_board("Open the Service board", "service", service=of_cell("Service")),),
            ),
            Column("signal", "Signal", words={**name_signals(limits.by_route()), **BUDGETS, **SILENT}),
            Column("series", "Of", width=150),
            Column("Value #B", "Earliest", unit="s", limit=IN_SIGHT, width=110),
            Column("Value #A", "Expected", unit="s", width=110),
            Column("Value #C", "Latest", unit="s", width=110),
            Column("Value #D", "Outlook", unit="none", words={"1": ("never as it goes now", colours.GOOD)}, width=160),
        ],
    )


def build_rows(limits: Limits) -> Sequence[Row]:
    """Return the rows of the forecast."""
    return (
        Row(8, [(12, _table()), (12, _course())], title="Forecast"),
        Row(7, [(24, _limits(limits))]),
    )
