"""The analysis board: what is unusual, since when, where it leads, and the probable cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly, one_of
from perfloop_boards.findings import (
    HEALTH,
    LAST_RESULT,
    SILENCE,
    SILENT,
    Count,
    last_result,
    penalties,
    tally,
    to_incident,
)
from perfloop_boards.limits import FIRST_WARNS, IN_SIGHT, Limit, plain
from perfloop_boards.links import CLICKED, of_cell, of_label, to_board
from perfloop_boards.panels import About, lines, number
from perfloop_boards.queries import Query, chosen, equal, highest, level_changes_in_words, selector
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import ANALYZER, or_silent
from perfloop_boards.words import BUDGETS, RESOURCE, SEVERITY, name_signals

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.links import Link
    from perfloop_boards.panels import AnyPanel

OF_SERVICE = selector(*chosen("service"))
ONE = selector(*chosen("service", "signal"))
QUIET = "Not enough history yet: the analyzer scores a signal once it has enough samples."
BOUNDARY = Limit(warning=1, critical=2)
INCIDENTS = f"perfloop_incident_start_timestamp_seconds{OF_SERVICE}"

TO_RECOMMENDATIONS = to_board("Open the Recommendations board", "recommendations", "service")
# A click on a series: its signal here, and what else there is about its service.
OF_SERIES = (
    to_board("Show this signal", "analysis", service=of_label("service"), signal=of_label("signal")),
    to_board("Open the Service board", "service", service=of_label("service")),
)


def _of_row(signal: str = CLICKED) -> tuple[Link, ...]:
    """Return where the cell of a signal leads."""
    service = of_cell("Service")
    return (
        to_board("Show this signal", "analysis", service=service, signal=signal),
        to_board("Open the Service board", "service", service=service),
    )


def _of_cause() -> tuple[Link, ...]:
    """Return where a cause leads: what to do about it, and the boards of which one shows it."""
    service = of_cell("Service")
    return (
        to_board("Open its recommendations", "recommendations", service=service),
        to_board("Open the Service board", "service", service=service),
        to_board("Open the Database and cache board", "database-cache", service=service),
        to_board("Open the LLM board", "llm", service=service),
        to_board("Open the System board", "system"),
        to_board("Open the Monitoring stack board", "stack"),
    )


def _incidents_now() -> AnyPanel:
    return tally(
        Count(
            "Incidents",
            "Findings that belong together. Good: 0. Their probable causes are listed below.",
            (TO_RECOMMENDATIONS,),
        ),
        f"max by (incident) ({INCIDENTS})",
        FIRST_WARNS,
    )


def _unusual_now() -> AnyPanel:
    return tally(
        Count(
            "Anomalous signals",
            "Score > 1 = outside the expected range. Good: 0. The scores are listed below.",
            (to_board("Open the Service board", "service", "service"),),
        ),
        f"max by (service, signal) (perfloop_anomaly_score{OF_SERVICE}) > 1",
        Limit(warning=1, critical=5),
    )


def _bottlenecks_now() -> AnyPanel:
    return tally(
        Count(
            "Bottlenecks",
            "Resources that limit a service now. Good: 0. Fix the probable cause with the highest share first.",
            (TO_RECOMMENDATIONS,),
        ),
        f"max by (service, resource) (perfloop_bottleneck{OF_SERVICE})",
        Limit(warning=1, critical=3),
    )


def _soonest_now() -> AnyPanel:
    return number(
        About(
            "Time to first limit",
            "When the first signal reaches its limit if its trend continues. Good: none in sight. Under a day: "
            "act now.",
            "s",
            "none",
            decimals=0,
            links=(TO_RECOMMENDATIONS,),
        ),
        Query(f"min(perfloop_seconds_until_limit{selector(*chosen('service'), equal('bound', 'expected'))} < Inf)"),
        IN_SIGHT,
        watch=ANALYZER,
    )


def _health_now() -> AnyPanel:
    return lines(
        About(
            "Health score by service",
            f"100 minus the penalties. Good: {plain(HEALTH.first)} and above. A drop is an incident: compare it "
            "with the marked level changes.",
            "none",
            "No score in this time range: nothing that the analyzer queries has data, its first cycle has not "
            "finished, or it is down.",
            links=(to_board("Open the Service board", "service", service=of_label("service")),),
        ),
        [Query(f"min by (service) (perfloop_health_score{OF_SERVICE})", "{{service}}"), SILENCE],
        HEALTH,
        known={**colours.PARTS, "overall": colours.OTHER},
    ).axis_soft_max(100)


def _band() -> AnyPanel:
    # One series: the lines of several would have the same colours, and nobody could say which belongs to which.
    strangest = f"max by (service, series) (max_over_time(perfloop_anomaly_score{ONE}[$__range] @ end()))"
    return lines(
        About(
            "Actual vs. expected range: $signal",
            "The measured series of the chosen signal, and the range that its history makes likely; of several series "
            "the one that was furthest out of it. Good: inside the range. Outside: check what happened at that moment.",
            "none",
            QUIET,
            links=(
                to_board("Open the Service board", "service", service=of_label("service")),
                TO_RECOMMENDATIONS,
            ),
        ),
        [
            Query(
                f"max by (service, series) (perfloop_{metric}{ONE}) and on (service, series) topk(1, {strangest})",
                f"{name} · {{{{service}}}} {{{{series}}}}",
                colour,
                dashed=metric in {"anomaly_upper", "anomaly_lower"},
            )
            for name, metric, colour in (
                ("upper", "anomaly_upper", colours.EXPECTED),
                ("lower", "anomaly_lower", colours.EXPECTED_LEAST),
                ("expected", "anomaly_expected", colours.FAST),
                ("actual", "signal_value", colours.TRAFFIC),
            )
        ],
    )


def _without_data() -> AnyPanel:
    return rows(
        About(
            "Signals without data",
            "Signals of a service that had values and have none of the last minute. Good: no row. The health score "
            "ignores them.",
            "none",
            "Every signal has data.",
        ),
        [Query(or_silent(f"max by (service) (perfloop_signals_without_data{OF_SERVICE})", "service"), instant=True)],
        [
            Column("service", "Service", words=SILENT, links=_of_row()[1:]),
            Column("Value #A", "Signals", unit="none", width=80),
        ],
        sort="Signals",
    )


SCORE = f"perfloop_anomaly_score{OF_SERVICE}"


def _scores() -> AnyPanel:
    return lines(
        About(
            "Anomaly scores",
            "The five highest. Score > 1 = outside the expected range, for every signal. Good: under the dashed line.",
            "none",
            QUIET,
            links=OF_SERIES,
        ),
        [
            Query(
                highest(5, f"max by (service, signal) ({SCORE})", SCORE, "service", "signal"),
                "{{service}} {{signal}}",
            ),
            SILENCE,
        ],
        BOUNDARY,
    )


def _changes(limits: Limits) -> AnyPanel:
    both = level_changes_in_words(*chosen("service"))
    return rows(
        About(
            "Level changes",
            "When the level of each signal last changed, from what to what. Good: only what you changed. Compare each "
            "time with releases, faults and load.",
            "none",
            "No signal changed its level within the window that the analyzer reads.",
        ),
        [Query(or_silent(f"topk(10, {both}) * 1000", "signal", time=True), instant=True)],
        [
            Column("service", "Service", width=100),
            Column("signal", "Signal", words={**name_signals(limits.by_route()), **SILENT}, links=_of_row()),
            Column("levels", "From and to", width=140),
            Column("Value #A", "When", unit="dateTimeFromNow", width=140),
        ],
        sort="When",
    )


def _forecast(limits: Limits) -> AnyPanel:
    def until(bound: str) -> str:
        matchers = selector(*chosen("service"), equal("bound", bound))
        return f"min by (service, signal) (perfloop_seconds_until_limit{matchers} < Inf)"

    first, *others = (until(bound) for bound in ("lower", "expected", "upper"))
    return rows(
        About(
            "Forecast: time to limit",
            "Only significant trends are listed. Good: no row. Under a day: act now; under a week: plan.",
            "none",
            "No trend leads to a limit.",
        ),
        [
            Query(or_silent(first, "signal"), instant=True),
            *(Query(expr, instant=True) for expr in others),
            last_result(first, "signal"),
        ],
        [
            Column("service", "Service", width=110),
            Column("signal", "Signal", words={**name_signals(limits.by_route()), **BUDGETS, **SILENT}, links=_of_row()),
            Column("Value #A", "Earliest", unit="s", limit=IN_SIGHT, width=120),
            Column("Value #B", "Expected", unit="s", width=110),
            Column("Value #C", "Latest", unit="s", width=110),
            Column("Value #D", LAST_RESULT, unit="dateTimeFromNow", width=140),
        ],
    )


def _causes() -> AnyPanel:
    """Return the causes of each incident together, the oldest incident first: shares add up within one alone."""
    score = f"max by (incident, service, resource) (perfloop_root_cause_score) and on (incident) ({INCIDENTS})"
    since = f"({score}) * 0 + on (incident) group_left () min by (incident) ({INCIDENTS}) * 1000"
    panel = rows(
        About(
            "Probable cause, by incident",
            "Share of each suspect; the shares of one incident add up to 100%. Start with the largest share of the "
            "oldest incident.",
            "none",
            "No incident: all signals are within their limits.",
            decimals=0,
        ),
        [
            Query(or_silent(score, "resource"), instant=True),
            Query(or_silent(since, "resource", time=True), instant=True),
        ],
        [
            Column("Value #B", "Since", unit="dateTimeFromNow", width=140),
            Column("incident", "Incident", width=130, links=(to_incident(CLICKED),)),
            Column("service", "Service", width=80),
            Column(
                "resource",
                "Cause",
                words={**RESOURCE, **SILENT},
                links=_of_cause(),
            ),
            Column("Value #A", "Share", unit="percentunit", full=1, width=130),
        ],
    )
    order = (("Since", False), ("Incident", False), ("Share", True))
    return panel.sort_by(
        [common.TableSortByFieldState().display_name(heading).desc(desc=falls) for heading, falls in order]
    )


def _bottlenecks() -> AnyPanel:
    found = f"max by (service, resource, severity) (perfloop_bottleneck{OF_SERVICE})"
    return rows(
        About(
            "Bottlenecks by service",
            "Resources that limit a service, each with its share among the causes of its incident. Good: no row. The "
            "Recommendations board says what to do about each.",
            "none",
            "No resource limits a service.",
        ),
        [Query(or_silent(found, "resource"), instant=True), last_result(found, "resource")],
        [
            Column("service", "Service", width=90),
            Column(
                "resource",
                "Resource",
                words={**RESOURCE, **SILENT},
                links=_of_cause(),
            ),
            Column("severity", "Severity", words=SEVERITY, width=80),
            Column("Value #A", "Share", unit="percentunit", width=70),
            Column("Value #B", LAST_RESULT, unit="dateTimeFromNow", width=140),
        ],
        sort="Share",
    )


def _trends() -> AnyPanel:
    return lines(
        About(
            "Trends",
            "Change per hour, where a trend is significant. Good: none. A slow rise over days is a leak, or growth.",
            "none",
            "No significant trend in this time range.",
            links=OF_SERIES,
        ),
        [
            Query(f"max by (service, signal) (perfloop_trend_slope{OF_SERVICE}) * 3600", "{{service}} {{signal}}"),
            SILENCE,
        ],
    )


def _penalties(limits: Limits) -> AnyPanel:
    return penalties("Signals that lower the score, worst first. Empty = none.", limits.by_route())


def build(limits: Limits) -> Board:
    """The analysis board of a configuration."""
    return Board(
        uid="analysis",
        title="Analysis",
        question="What is unusual, since when, where does it lead, and what is the probable cause?",
        related=("service", "database-cache", "recommendations", "stack"),
        variables=(
            choice("service", "Service", "perfloop_health_score"),
            one_of("signal", "Signal", "perfloop_anomaly_score", first="api_response_time_p95"),
        ),
        since="now-1h",
        rows=(
            Row(4, evenly(_incidents_now(), _unusual_now(), _bottlenecks_now(), _soonest_now())),
            Row(8, [(13, _causes()), (11, _penalties(limits))]),
            Row(9, [(24, _band())]),
            Row(8, [(9, _health_now()), (9, _scores()), (6, _without_data())]),
            Row(8, [(9, _bottlenecks()), (15, _changes(limits))]),
            Row(7, [(14, _forecast(limits)), (10, _trends())]),
        ),
    )
