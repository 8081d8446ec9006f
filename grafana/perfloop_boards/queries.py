"""PromQL in small pieces: the correct rate, mean, quantile and ratio are each written once, here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_boards import colours

if TYPE_CHECKING:
    from collections.abc import Callable

# Grafana sets it to at least four scrape intervals, so that rate() always has its two samples.
WINDOW = "$__rate_interval"
_RANKS = {99: colours.SLOWEST, 95: colours.SLOW, 50: colours.FAST}

# What makes one alert, on every board: what Alertmanager sends as one message, however many targets it is about.
ALERT_LABELS = ("alertname", "service")


def firing_by_severity(matchers: str, *labels: str) -> dict[str, str]:
    """Return the query of firing alerts for `critical`, and for `warning` that of those that are not critical as well.

    `matchers` begins with a comma where it is not empty; `labels` identify an alert.
    """
    critical, warning = (
        f'max by (severity, {", ".join(labels)}) (ALERTS{{alertstate="firing", {wanted}{matchers}}})'
        for wanted in ('severity="critical"', 'severity!~"critical|none|info"')
    )
    return {"critical": critical, "warning": f"{warning} unless on ({', '.join(labels)}) {critical}"}


def worst_firing(matchers: str, *labels: str) -> str:
    """Return the query of firing alerts, each once: as critical, or as a warning where it is not critical as well."""
    return " or ".join(firing_by_severity(matchers, *labels).values())


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel, and how its series are named and coloured.

    Attributes:
        legend: the name of each series, labels as `{{label}}`.
        instant: asked once for the end of the time range, not for every step of it.
        exemplar: with the exemplars (trace ids) that Prometheus has of the series.
    """

    expr: str
    legend: str = ""
    colour: str = ""
    instant: bool = False
    exemplar: bool = False
    dashed: bool = False


def selector(*matchers: str) -> str:
    """Return the matchers as a PromQL selector; empty without any."""
    return "{" + ", ".join(matchers) + "}" if matchers else ""


def equal(label: str, value: str) -> str:
    """Return the matcher of one exact value."""
    return f'{label}="{value}"'


def chosen(*labels: str) -> tuple[str, ...]:
    """Return a matcher for each label, by the variable of the board that has the same name."""
    return tuple(f'{label}=~"${label}"' for label in labels)


def _by(labels: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(labels)}) " if labels else "sum "


def rate(metric: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return the increase of a counter per second, summed by the labels."""
    return f"{_by(by)}(rate({metric}{selector(*matchers)}[{WINDOW}]))"


def rate_of_any(metric: str, *choices: tuple[str, ...], by: tuple[str, ...] = ()) -> str:
    """Return the increase per second of the series that meet the matchers of any choice, each counted once."""
    return f"{_by(by)}({' or '.join(f'rate({metric}{selector(*one)}[{WINDOW}])' for one in choices)})"


def mean(histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return the mean of a histogram over the window: the rate of its sum divided by the rate of its count."""
    return f"{rate(histogram + '_sum', *matchers, by=by)} / {rate(histogram + '_count', *matchers, by=by)}"


def quantile(q: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return a quantile over all instances together: the buckets are summed before (quantiles cannot be averaged)."""
    return f"histogram_quantile({q:g}, {buckets(histogram, *matchers, by=by)})"


def buckets(histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """Return the rates of a histogram's buckets, over all instances together."""
    return rate(f"{histogram}_bucket", *matchers, by=("le", *by))


def ratio(part: str, whole: str) -> str:
    """Return part / whole, where a missing part counts as 0: a service without errors has no error series."""
    return f"(({part}) or ({whole}) * 0) / ({whole})"


def share(part: str, whole: str) -> str:
    """Return part / whole of two counters, at most 1.

    A restart between two scrapes is seen in a counter only where it is lower afterwards. Where the part shows it and
    the whole, which has already passed its old value, does not, the part seems to have grown more than the whole.
    """
    return f"clamp_max({ratio(part, whole)}, 1)"


def known(expr: str) -> str:
    """Return the expression without NaN: a route without requests has no quantile and no mean, and NaN sorts first."""
    return f"({expr}) >= 0"


def highest(count: int, shown: str, series: str, *labels: str) -> str:
    """Return the `count` series of `shown` where `series` was highest within the time range, for all of the range.

    A plain topk chooses again at every step, and draws fragments. `labels` identify a series.
    """
    by = ", ".join(labels)
    return f"{shown} and on ({by}) topk({count}, max by ({by}) (max_over_time({series}[$__range] @ end())))"


def ever(expr: str, *labels: str) -> str:
    """Return the series of the expression that were above 0 at any time of the range, for all of the range.

    For what failed: the line of a series that is always 0 is no news, and its colour is that of an alarm. `labels`
    identify a series.
    """
    return f"{expr} and on ({', '.join(labels)}) max_over_time(({expr})[$__range:$__interval] @ end()) > 0"


# Of the level before: a change of less is found by the analyzer, but is no news.
_LEAST_CHANGE = 0.1


def level_changes(*matchers: str) -> str:
    """Return the query of the time in seconds at which each signal last went to another level, by a tenth at least."""
    of = selector(*matchers)
    before, after = f"perfloop_change_point_before{of}", f"perfloop_change_point_after{of}"
    by = "service, signal, series, instance"
    moved = f"abs({after} - on ({by}) {before}) >= on ({by}) {_LEAST_CHANGE} * abs({before})"
    return f"perfloop_change_point_timestamp_seconds{of} and on ({by}) {moved}"


def level_changes_in_words(*matchers: str) -> str:
    """Return the same with the levels before and after in words, as the label `levels`.

    Where Prometheus was started again, the words of before are there with the present ones for five minutes: of two,
    the newest are right.
    """
    by = "service, signal, series, instance"
    words = f"max by ({by}, levels) (timestamp(perfloop_change_point_info{selector(*matchers)}))"
    newest = f"topk by ({by}) (1, {words}) > bool 0"
    times = f"max by ({by}) ({level_changes(*matchers)})"
    return f"max by (service, signal, levels) ({times} * on ({by}) group_left (levels) ({newest}))"


def or_zero(expr: str) -> str:
    """Return the expression, or 0 where nothing matches: for counts."""
    return f"({expr}) or vector(0)"


def percentiles(find: Callable[[float], str], *ranks: int) -> list[Query]:
    """Return queries for the 99th, 95th and 50th percentile, or for the ranks given.

    `find` gives the expression of a quantile between 0 and 1.
    """
    return [Query(find(rank / 100), f"p{rank}", _RANKS[rank]) for rank in ranks or _RANKS]
