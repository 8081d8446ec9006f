"""What the analyzer found, on more than one board: an analyzer that is down never looks like good health."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_boards import colours
from perfloop_boards.limits import Limit
from perfloop_boards.links import CLICKED, Link, of_cell, to_board
from perfloop_boards.panels import About, number
from perfloop_boards.queries import Query, chosen, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import ANALYZER, ANALYZER_DOWN, or_silent
from perfloop_boards.words import name_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.panels import AnyPanel


class Count(NamedTuple):
    """What a count says about itself: its title, what good looks like, and where a click leads."""

    title: str
    good: str
    links: Sequence[Link] = ()


# `overall` repeats what the services say, which are listed themselves.
PARTS = selector(*chosen("service"), 'service!="overall"')
HEALTH = Limit(warning=90, critical=70, below=True)  # the limits of the analyzer's own page
SILENT = {ANALYZER_DOWN: (ANALYZER_DOWN, colours.BAD)}
LAST_RESULT = "Last result"  # the heading of its column
NO_ANALYSIS = "no analysis"
OPEN = 'state=~"open|accepted"'
RECOMMENDATION_LABELS = "service, category, priority, title, state, gain_of"


def last_result(expr: str, label: str) -> Query:
    """Return the query of the analyzer's last result in milliseconds, for each row of a table without other times."""
    last = "max(perfloop_analyzer_last_success_timestamp_seconds) * 1000"
    return Query(or_silent(f"({expr}) * 0 + on () group_left () {last}", label, time=True), instant=True)


# For pictures over time: a line where the analyzer had no result, so that what it did not find is not read as good.
SILENCE = Query(f"{ANALYZER.down} * 0", "analyzer down", colours.ERRORS)


def to_evidence(identifier: str) -> Link:
    """Return the link to a recommendation on the analyzer's page: its evidence and queries, and what can be done."""
    return Link("Open its evidence", f"${{analyzer_url}}/#recommendation-{identifier}", new_tab=True)


def to_incident(identifier: str) -> Link:
    """Return the link to an incident on the analyzer's page: its findings, and its causes with their evidence."""
    return Link("Open the incident", f"${{analyzer_url}}/#incident-{identifier}", new_tab=True)


def count_found(expr: str) -> str:
    """Return the query that counts series of the analyzer: 0 only while the analyzer publishes, else no data."""
    return f"count({expr}) or max(perfloop_health_score) * 0"


def tally(about: Count, expr: str, limit: Limit) -> AnyPanel:
    """Return a number: how many series of the analyzer there are."""
    shown = About(about.title, about.good, "none", NO_ANALYSIS, decimals=0, links=about.links)
    return number(shown, Query(count_found(expr)), limit, watch=ANALYZER)


def penalties(good: str, by_route: Sequence[str]) -> AnyPanel:
    """Return the table of the points that signals take off the health score of the chosen services, worst first."""
    points = f"max by (service, signal) (perfloop_health_penalty{PARTS}) > 0"
    since = f"min by (service, signal) (perfloop_finding_start_timestamp_seconds{PARTS}) * 1000"
    to_signal = to_board("Open this signal", "analysis", service=of_cell("Service"), signal=CLICKED)
    return rows(
        About("Why is the score low?", good, "none", "All signals are within their limits.", decimals=1),
        [
            Query(or_silent(f"sort_desc({points})", "signal"), instant=True),
            Query(or_silent(f"{since} and on (service, signal) {points}", "signal", time=True), instant=True),
        ],
        [
            Column("service", "Service", width=100),
            Column("signal", "Signal", words={**name_signals(by_route), **SILENT}, links=(to_signal,)),
            Column("Value #A", "Penalty", unit="none", limit=Limit(warning=5, critical=20), full=100, width=130),
            Column("Value #B", "Since", unit="dateTimeFromNow", width=140),
        ],
        sort="Penalty",
    )


def worth_of(*matchers: str, worth: str = "expected") -> str:
    """Return the query of the `expected` or `measured` improvement of recommendations, a ratio, with their labels."""
    # Grouped on both sides: a second analyzer, or a state that has just changed, must not break the join.
    info = f"max by (id, {RECOMMENDATION_LABELS}) (perfloop_recommendation_info{selector(*matchers)})"
    value = f"max by (id) (perfloop_recommendation_{worth}_improvement_ratio)"
    return f"{info} * on (id) group_left () {value}"
