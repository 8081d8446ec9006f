"""The recommendations board: what was found, what became of it, and whether it brought the expected gain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.findings import (
    NO_ANALYSIS,
    RECOMMENDATION_LABELS,
    SILENCE,
    SILENT,
    Count,
    count_found,
    tally,
    to_evidence,
    worth_of,
)
from perfloop_boards.limits import FIRST_WARNS, Limit
from perfloop_boards.links import Link, of_cell, of_label, to_board
from perfloop_boards.panels import About, figure, lines, number, stacked, timeline
from perfloop_boards.queries import Query, chosen, equal, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import ANALYZER, or_silent
from perfloop_boards.words import PRIORITY, STATE, STATE_NUMBERS

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

CHOSEN = chosen("service", "category")
NONE_YET = "No recommendations in this time range: no bottleneck was found."
NONE_MEASURED = "Nothing measured yet: mark a recommendation as implemented, and its gain is measured."
EVIDENCE = to_evidence(of_cell("Id"))
LIST = Link("Open the analyzer's page: evidence, accept, dismiss", "${analyzer_url}/#advice", new_tab=True)
TO_ANALYSIS = to_board("Open the Analysis board", "analysis", "service")


def _in_state(states: str) -> str:
    in_state = f'state=~"{states}"'
    return f"perfloop_recommendation_info{selector(*CHOSEN, in_state)}"


def _by_id(states: str) -> str:
    return f"max by (id) ({_in_state(states)})"


def _open_now() -> AnyPanel:
    return tally(
        Count("Open", "Waiting for a decision. Good: none that is critical. Accept or dismiss each.", (LIST,)),
        _by_id("open"),
        FIRST_WARNS,
    )


def _counted(title: str, good: str, states: str, colour: str) -> AnyPanel:
    return figure(
        About(title, good, "none", NO_ANALYSIS, decimals=0, links=(LIST,)),
        Query(count_found(_by_id(states))),
        colour,
        watch=ANALYZER,
    )


def _in_progress() -> AnyPanel:
    good = "Accepted, or implemented and being measured. Good: a few at a time."
    return _counted("In progress", good, "accepted|implemented", colours.TRAFFIC)


def _validated() -> AnyPanel:
    return _counted("Validated", "Implemented, and the gain was confirmed by measurement.", "validated", colours.GOOD)


def _refuted() -> AnyPanel:
    return tally(
        Count(
            "No effect",
            "Implemented, without the expected effect. Good: 0. For each: undo the change, and check why a gain "
            "was expected.",
            (LIST,),
        ),
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
            links=(LIST,),
        ),
        Query(f"count({_by_id('validated')}) / count({_by_id('validated|refuted')})"),
        Limit(warning=0.8, critical=0.5, below=True),
        watch=ANALYZER,
    )


def _mean_gain() -> AnyPanel:
    return number(
        About(
            "Mean measured gain",
            "Mean measured gain of the validated recommendations, each in its own metric. Good: the 20 to 50% "
            "that tuning can bring.",
            "percentunit",
            "none measured",
            decimals=0,
            links=(LIST,),
        ),
        Query(f"avg({worth_of(*CHOSEN, equal('state', 'validated'), worth='measured')})"),
        Limit(warning=0.05, below=True),
        watch=ANALYZER,
    )


def _kept_expectations() -> AnyPanel:
    outcomes = "perfloop_recommendation_outcomes"
    return number(
        About(
            "Expectations that held",
            "Share of proved or measured gains within their expected bounds, over all rules and time. Good: above 80%. "
            "A rule's outcomes weigh its next expectation.",
            "percentunit",
            "no outcome yet",
            decimals=0,
            links=(LIST,),
        ),
        Query(f'sum(max by (rule) ({outcomes}{{inside="true"}})) / sum(max by (rule, inside) ({outcomes}))'),
        Limit(warning=0.8, critical=0.5, below=True),
        watch=ANALYZER,
    )


def _life() -> AnyPanel:
    states = " or ".join(
        f"max by (id, service) ({_in_state(state)}) * {place}" for state, place in STATE_NUMBERS.items()
    )
    # A title names the worst part, which changes: the present one is that of the whole bar, else any that there was.
    info = f"perfloop_recommendation_info{selector(*CHOSEN)}"
    present, past = (
        f"max by (id, title) ({info} @ end())",
        f"max by (id, title) (max_over_time({info}[$__range] @ end()))",
    )
    newest = f"topk by (id) (1, 2 * {present} or {past})"
    titled = f"({states}) + on (id) group_left (title) 0 * {newest}"
    silence = f'label_replace({SILENCE.expr}, "title", "analyzer down", "", "")'
    return timeline(
        About(
            "Recommendation states",
            "Good: open is short, and the last state is validated. A bar that stays open is a decision that "
            "nobody took.",
            "none",
            NONE_YET,
            links=(to_evidence(of_label("id")), TO_ANALYSIS),
        ),
        Query(f"{titled} or {silence}", "{{title}}"),
        {**STATE, "0": ("no result", colours.BAD)},
    )


def _all() -> AnyPanel:
    info = f"max by (id, {RECOMMENDATION_LABELS}) (perfloop_recommendation_info{selector(*CHOSEN)})"

    def of_each(metric: str, factor: str = "") -> str:
        return f"({info}) * 0 + on (id) group_left () max by (id) (perfloop_recommendation_{metric}){factor}"

    saved = f"({info}) * 0 + on (id) group_left () ({_saving()})"
    effort = "max by (id) (perfloop_recommendation_effort_cost)"
    return rows(
        About(
            "All recommendations",
            "By priority, then by expected gain. Good: critical and high priorities are in progress. Savings and "
            "returns are by prices.yml, and empty without it: negative ones cost money.",
            "none",
            NONE_YET,
        ),
        [
            Query(or_silent(of_each("rank"), "title"), instant=True),
            Query(of_each("expected_improvement_ratio"), instant=True),
            Query(of_each("measured_improvement_ratio"), instant=True),
            Query(of_each("proved_improvement_ratio"), instant=True),
            Query(or_silent(of_each("start_timestamp_seconds", " * 1000"), "title", time=True), instant=True),
            Query(saved, instant=True),
            Query(f"({saved}) / on (id) group_left () ({effort} > 0)", instant=True),
        ],
        [
            Column("Value #A", "#", unit="none", width=50),
            Column("priority", "Priority", words=PRIORITY, width=75),
            Column("title", "Recommendation", words=SILENT, links=(EVIDENCE, _of_service("analysis", "analysis"))),
            Column("service", "Service", width=75, links=(_of_service("Service board", "service"),)),
            Column("category", "Category", width=100),
            Column("state", "State", width=75),
            Column("Value #B", "Expected gain", unit="percentunit", width=115, full=1),
            Column("Value #D", "Proved", unit="percentunit", width=70),
            Column("Value #C", "Measured", unit="percentunit", width=80),
            Column("gain_of", "Gain of", width=140),
            Column("Value #F", "Saving/month", unit="none", decimals=2, width=105),
            Column("Value #G", "Return/month", unit="percentunit", decimals=0, width=105),
            Column("Value #E", "Since", unit="dateTimeFromNow", width=140),
            Column("id", "Id", width=60, links=(EVIDENCE,)),
        ],
        sort="#",
        rising=True,
    )


def _saving() -> str:
    """Return the money that each recommendation saves in a month: as measured, and until then as expected."""
    measured, expected = (
        f"max by (id) (perfloop_recommendation_saving_per_month{selector(equal('kind', kind))})"
        for kind in ("measured", "expected")
    )
    return f"{measured} or {expected}"


def _of_service(what: str, uid: str) -> Link:
    return to_board(f"Open the {what} of this service", uid, service=of_cell("Service"))


def _measured_by_expected() -> AnyPanel:
    return rows(
        About(
            "Measured ÷ expected gain",
            "Good: near 1. Far below: the evidence was misleading. Far above: more than this changed.",
            "none",
            NONE_MEASURED,
            decimals=2,
        ),
        [
            Query(
                f"sort_desc(({worth_of(*CHOSEN, worth='measured')})"
                f" / on (id, {RECOMMENDATION_LABELS}) ({worth_of(*CHOSEN)}))",
                instant=True,
            )
        ],
        [
            Column("service", "Service", width=100, links=(_of_service("Service board", "service"),)),
            Column("title", "Recommendation", links=(EVIDENCE,)),
            Column("Value #A", "Ratio", unit="none", limit=Limit(warning=0.5, below=True), full=2, width=150),
            Column("id", "Id", width=120, links=(EVIDENCE,)),
        ],
        sort="Ratio",
    )


def _by_category() -> AnyPanel:
    return stacked(
        About(
            "Open recommendations by category",
            "Good: few, and not always the same category.",
            "none",
            NONE_YET,
            links=(
                to_board("Show this category", "recommendations", "service", category=of_label("category")),
                LIST,
            ),
        ),
        [
            Query(f"count by (category) (max by (id, category) ({_in_state('open|accepted')}))", "{{category}}"),
            SILENCE,
        ],
        known=colours.CATEGORIES,
    )


def _replicas() -> AnyPanel:
    return lines(
        About(
            "Recommended replicas",
            "What the load of the next minutes needs. Good: as many as are running. An autoscaler can follow this "
            "value.",
            "none",
            "No number yet: it is not known what one replica carries.",
            links=(to_board("Open the Capacity board", "capacity", service=of_label("service")), TO_ANALYSIS),
        ),
        [
            Query(f"max by (service) (perfloop_desired_replicas{selector(*chosen('service'))})", "{{service}}"),
            SILENCE,
        ],
    )


def build(_limits: Limits) -> Board:
    """The recommendations board of a configuration."""
    return Board(
        uid="recommendations",
        title="Recommendations",
        question="What should be changed, what became of it, and did it bring the expected gain?",
        related=("overview", "analysis", "load-test", "capacity"),
        variables=(
            choice("service", "Service", "perfloop_recommendation_info"),
            choice("category", "Category", 'perfloop_recommendation_info{service=~"$service"}'),
        ),
        since="now-6h",
        rows=(
            Row(
                4,
                [
                    (3, _open_now()),
                    (4, _in_progress()),
                    (4, _validated()),
                    (4, _refuted()),
                    (4, _validated_share()),
                    (5, _mean_gain()),
                ],
            ),
            Row(8, [(24, _all())]),
            Row(8, [(24, _life())]),
            Row(7, evenly(_measured_by_expected(), _by_category(), _replicas())),
            Row(4, [(24, _kept_expectations())]),
        ),
    )
