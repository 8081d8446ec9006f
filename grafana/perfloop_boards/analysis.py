"""The analysis board: what is unusual, since when, where it leads, and the probable cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly, one_of
from perfloop_boards.findings import HEALTH, penalties, tally
from perfloop_boards.limits import Limit, plain
from perfloop_boards.panels import About, lines, number
from perfloop_boards.queries import Query, chosen, equal, highest, selector
from perfloop_boards.tables import Column, bars, rows
from perfloop_boards.words import SEVERITY, name_signals

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

OF_SERVICE = selector(*chosen("service"))
ONE = selector(*chosen("service", "signal"))
QUIET = "Not enough history yet: the analyzer scores a signal once it has enough samples."
BOUNDARY = Limit(warning=1, critical=2)
DAY = 86_400
IN_SIGHT = Limit(warning=7 * DAY, critical=DAY, below=True)


def _unusual_now() -> AnyPanel:
    return tally(
        "Anomalous signals",
        "Good: 0. A score above 1 is outside the expected range; the scores are listed below.",
        f"max by (service, signal) (perfloop_anomaly_score{OF_SERVICE}) > 1",
        Limit(warning=1, critical=5),
    )


def _bottlenecks_now() -> AnyPanel:
    return tally(
        "Bottlenecks",
        "Resources that limit a service now. Good: 0. Fix the probable cause with the highest share first.",
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
        ),
        Query(f"min(perfloop_seconds_until_limit{selector(*chosen('service'), equal('bound', 'expected'))})"),
        IN_SIGHT,
    )


def _health_now() -> AnyPanel:
    return lines(
        About(
            "Health score by service",
            f"100 minus the penalties. Good: {plain(HEALTH.first)} and above. A drop is an incident: compare it "
            "with the marked level changes.",
            "none",
            "No score yet: the analyzer's first cycle has not finished, or it is down.",
        ),
        [Query(f"min by (service) (perfloop_health_score{OF_SERVICE})", "{{service}}")],
        HEALTH,
    ).axis_soft_max(100)


def _band() -> AnyPanel:
    return lines(
        About(
            "Actual vs. expected range: $signal",
            "The measured series of the chosen signal, and the range that its history makes likely. Good: inside "
            "the range. Outside: check what happened at that moment.",
            "none",
            QUIET,
        ),
        [
            Query(
                f"max by (service, series) (perfloop_{metric}{ONE})",
                f"{name} · {{{{service}}}} {{{{series}}}}",
                colour,
                dashed=metric in {"anomaly_upper", "anomaly_lower"},
            )
            for name, metric, colour in (
                ("upper", "anomaly_upper", colours.EXPECTED),
                ("lower", "anomaly_lower", colours.EXPECTED),
                ("expected", "anomaly_expected", colours.FAST),
                ("actual", "signal_value", colours.TRAFFIC),
            )
        ],
    )


SCORE = f"perfloop_anomaly_score{OF_SERVICE}"


def _scores() -> AnyPanel:
    return lines(
        About(
            "Anomaly scores",
            "The five highest. 1 is the edge of the expected range, for every signal. Good: under the dashed line.",
            "none",
            QUIET,
        ),
        [
            Query(
                highest(5, f"max by (service, signal) ({SCORE})", SCORE, "service", "signal"),
                "{{service}} {{signal}}",
            )
        ],
        BOUNDARY,
    )


def _changes(limits: Limits) -> AnyPanel:
    return rows(
        About(
            "Level changes",
            "When the level of each signal last changed. Good: only what you changed. Compare each time with "
            "releases, faults and load.",
            "none",
            "No signal has changed its level in the retained history, or the analyzer is down.",
        ),
        [
            Query(
                f"topk(10, max by (service, signal) (perfloop_change_point_timestamp_seconds{OF_SERVICE})) * 1000",
                instant=True,
            ),
        ],
        [
            Column("service", "Service", width=110),
            Column("signal", "Signal", words=name_signals(limits.by_route())),
            Column("Value #A", "When", unit="dateTimeFromNow", width=140),
        ],
        sort="When",
    )


def _forecast(limits: Limits) -> AnyPanel:
    return rows(
        About(
            "Forecast: time to limit",
            "Only significant trends are listed. Good: no row. Under a day: act now; under a week: plan.",
            "none",
            "No trend leads to a limit, or the analyzer is down.",
        ),
        [
            Query(
                "min by (service, signal) (perfloop_seconds_until_limit"
                f"{selector(*chosen('service'), equal('bound', bound))})",
                instant=True,
            )
            for bound in ("lower", "expected", "upper")
        ],
        [
            Column("service", "Service", width=110),
            Column("signal", "Signal", words=name_signals(limits.by_route())),
            Column("Value #A", "Earliest", unit="s", limit=IN_SIGHT, width=120),
            Column("Value #B", "Expected", unit="s", width=110),
            Column("Value #C", "Latest", unit="s", width=110),
        ],
    )


def _causes() -> AnyPanel:
    return bars(
        About(
            "Probable cause, by incident",
            "Share of each suspect; the shares of one incident add up to 100%. Start with the longest bar.",
            "percentunit",
            "No incident is open, or the analyzer is down.",
            decimals=0,
        ),
        Query(
            f"sort_desc(max by (incident, service, resource) (perfloop_root_cause_score{OF_SERVICE}))",
            "{{service}} · {{resource}}",
            instant=True,
        ),
    )


def _bottlenecks() -> AnyPanel:
    return rows(
        About(
            "Bottlenecks by service",
            "Resources that limit a service. Good: no row. The Recommendations board says what to do about each.",
            "none",
            "No resource limits a service, or the analyzer is down.",
        ),
        [Query(f"max by (service, resource, severity) (perfloop_bottleneck{OF_SERVICE})", instant=True)],
        [
            Column("service", "Service", width=90),
            Column("resource", "Resource", width=100),
            Column("severity", "Severity", words=SEVERITY, width=80),
            Column("Value #A", "Share", unit="percentunit", width=80),
        ],
        sort="Share",
    )


def _trends() -> AnyPanel:
    return lines(
        About(
            "Trends",
            "Change per hour, where a trend is significant. Good: none. A slow rise over days is a leak, or growth.",
            "none",
            "No significant trend, or the analyzer is down.",
        ),
        [Query(f"max by (service, signal) (perfloop_trend_slope{OF_SERVICE}) * 3600", "{{service}} {{signal}}")],
    )


def _penalties(limits: Limits) -> AnyPanel:
    return penalties("Good: no row. 100 minus the penalties of a service is its health score.", limits.by_route())


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
            Row(4, evenly(_unusual_now(), _bottlenecks_now(), _soonest_now())),
            Row(9, [(24, _band())]),
            Row(8, [(7, _health_now()), (9, _scores()), (8, _penalties(limits))]),
            Row(7, [(7, _causes()), (7, _bottlenecks()), (10, _changes(limits))]),
            Row(7, [(14, _forecast(limits)), (10, _trends())]),
        ),
    )
