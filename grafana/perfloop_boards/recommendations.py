"""The recommendations board: what was found, what became of it, and whether it brought the expected gain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.findings import NO_ANALYSIS, RECOMMENDATION_LABELS, count_found, tally, worth_of
from perfloop_boards.limits import FIRST_WARNS, Limit
from perfloop_boards.panels import About, figure, lines, number, stacked, timeline
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, bars, rows
from perfloop_boards.words import PRIORITY, STATE, STATE_NUMBERS

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

CHOSEN = chosen("service", "category")
NONE_YET = "No recommendations in this time range: no bottleneck was found, or the analyzer is down."
NONE_MEASURED = "Nothing measured yet: mark a recommendation as implemented, and its gain is measured."


def _in_state(states: str) -> str:
    in_state = f'state=~"{states}"'
    return f"perfloop_recommendation_info{selector(*CHOSEN, in_state)}"


def _by_id(states: str) -> str:
    return f"max by (id) ({_in_state(states)})"


def _open_now() -> AnyPanel:
    return tally(
        "Open",
        "Waiting for a decision. Good: none that is critical. Accept or dismiss each: see `perfloop analyzer --help`.",
        _by_id("open"),
        FIRST_WARNS,
    )


def _in_progress() -> AnyPanel:
    return figure(
        About(
            "In progress",
            "Accepted, or implemented and being measured. Good: a few at a time.",
            "none",
            NO_ANALYSIS,
            decimals=0,
        ),
        Query(count_found(_by_id("accepted|implemented"))),
        colours.TRAFFIC,
    )


def _validated() -> AnyPanel:
    return figure(
        About(
            "Validated",
            "Implemented, and the gain was confirmed by measurement.",
            "none",
            NO_ANALYSIS,
            decimals=0,
        ),
        Query(count_found(_by_id("validated"))),
        colours.GOOD,
    )


def _refuted() -> AnyPanel:
    return tally(
        "No effect",
        "Implemented, without the expected effect. Good: 0. For each: undo the change, and check why a gain "
        "was expected.",
        _by_id("refuted"),
        FIRST_WARNS,
    )


def _validated_share() -> AnyPanel:
    return number(
        About(
            "Validated share",
            "Share of measured recommendations that were validated. Good: above 80%. Below: rely less on the evidence.",
            "percentunit",
            "none measured",
            decimals=0,
        ),
        Query(f"count({_by_id('validated')}) / count({_by_id('validated|refuted')})"),
        Limit(warning=0.8, critical=0.5, below=True),
    )


def _mean_gain() -> AnyPanel:
    return number(
        About(
            "Mean gain",
            "Mean measured gain of the validated recommendations, each in its own metric. Good: the 20 to 50% "
            "that tuning can bring.",
            "percentunit",
            "none measured",
            decimals=0,
        ),
        Query(f"avg({worth_of(*CHOSEN, equal('state', 'validated'), worth='measured')})"),
        Limit(warning=0.05, below=True),
    )


def _life() -> AnyPanel:
    return timeline(
        About(
            "Recommendation states",
            "Good: open is short, and the last state is validated. A bar that stays open is a decision that "
            "nobody took.",
            "none",
            NONE_YET,
        ),
        Query(
            " or ".join(
                f"max by (id, service, title) ({_in_state(state)}) * {place}" for state, place in STATE_NUMBERS.items()
            ),
            "{{title}}",
        ),
        STATE,
    )


def _all() -> AnyPanel:
    return rows(
        About(
            "All recommendations",
            "Highest expected gain first. Good: critical and high priorities are in progress.",
            "none",
            NONE_YET,
        ),
        [
            Query(worth_of(*CHOSEN), instant=True),
            Query(worth_of(*CHOSEN, worth="measured"), instant=True),
        ],
        [
            Column("priority", "Priority", words=PRIORITY, width=90),
            Column("title", "Recommendation"),
            Column("service", "Service", width=110),
            Column("category", "Category", width=130),
            Column("state", "State", width=120),
            Column("Value #A", "Expected gain", unit="percentunit", width=170, full=1),
            Column("Value #B", "Measured gain", unit="percentunit", width=120),
            Column("id", "Id", width=220),
        ],
        sort="Expected gain",
    )


def _measured_by_expected() -> AnyPanel:
    return bars(
        About(
            "Measured ÷ expected gain",
            "Good: near 1. Far below: the evidence was misleading. Far above: more than this changed.",
            "none",
            NONE_MEASURED,
            decimals=2,
        ),
        Query(
            f"sort_desc(({worth_of(*CHOSEN, worth='measured')})"
            f" / on (id, {RECOMMENDATION_LABELS}) ({worth_of(*CHOSEN)}))",
            "{{service}} · {{title}}",
            instant=True,
        ),
        Limit(warning=0.5, below=True),
        full=2,
        of="Ratio",
    )


def _by_category() -> AnyPanel:
    return stacked(
        About(
            "Open recommendations by category",
            "Good: few, and not always the same category.",
            "none",
            NONE_YET,
        ),
        [Query(f"count by (category) (max by (id, category) ({_in_state('open|accepted')}))", "{{category}}")],
        known=colours.CATEGORIES,
    )


def _replicas() -> AnyPanel:
    return lines(
        About(
            "Recommended replicas",
            "What the load needs, by queueing theory. Good: as many as are running. An autoscaler can follow "
            "this value.",
            "none",
            "No replica count is computed: the services have too little load for it.",
        ),
        [Query(f"max by (service) (perfloop_desired_replicas{selector(*chosen('service'))})", "{{service}}")],
    )


def build(_limits: Limits) -> Board:
    """The recommendations board of a configuration."""
    return Board(
        uid="recommendations",
        title="Recommendations",
        question="What should be changed, what became of it, and did it bring the expected gain?",
        related=("overview", "analysis", "load-test"),
        variables=(
            choice("service", "Service", "perfloop_recommendation_info"),
            choice("category", "Category", 'perfloop_recommendation_info{service=~"$service"}'),
        ),
        since="now-6h",
        rows=(
            Row(4, evenly(_open_now(), _in_progress(), _validated(), _refuted(), _validated_share(), _mean_gain())),
            Row(8, [(24, _all())]),
            Row(8, [(24, _life())]),
            Row(7, evenly(_measured_by_expected(), _by_category(), _replicas())),
        ),
    )
