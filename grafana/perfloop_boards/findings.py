"""What the analyzer found, on more than one board: an analyzer that is away is never shown as all being well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.limits import Limit
from perfloop_boards.panels import About, number
from perfloop_boards.queries import Query, chosen, selector
from perfloop_boards.tables import bars

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import stat, table

# `overall` is the whole: beside its parts it would only say everything twice.
PARTS = selector(*chosen("service"), 'service!="overall"')
HEALTH = Limit(warning=90, critical=70, below=True)  # as the analyzer's own page judges
NO_ANALYSIS = "no analysis"


def count_found(expr: str) -> str:
    """How many series of the analyzer there are: 0 only while it publishes, else nothing."""
    return f"count({expr}) or max(perfloop_health_score) * 0"


def tally(title: str, good: str, expr: str, limit: Limit) -> stat.Panel:
    """A figure: how many of them were found."""
    return number(About(title, good, "none", NO_ANALYSIS, decimals=0), Query(count_found(expr)), limit)


def penalties(good: str) -> table.Panel:
    """What takes points off the health of the chosen services, the most first."""
    return bars(
        About(
            "What costs points?",
            good,
            "none",
            "Nothing costs points: every signal is inside its limits, or the analyzer is down.",
            decimals=1,
        ),
        Query(
            f"sort_desc(max by (service, signal) (perfloop_health_penalty{PARTS}) > 0)",
            "{{service}} · {{signal}}",
            instant=True,
        ),
        Limit(warning=5, critical=20),
        full=100,
        of="Points",
    )
