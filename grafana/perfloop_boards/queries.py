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

# The watchdog (severity none) always fires: it is the heartbeat, not an alert.
FIRING_ALERTS = 'ALERTS{alertstate="firing", severity!~"none|info"}'


def worst_firing(matchers: str, *labels: str) -> str:
    """What fires, each alert once: as critical, or as a warning where it is not critical as well."""
    critical, warning = (
        f'max by (severity, {", ".join(labels)}) (ALERTS{{alertstate="firing", {wanted}{matchers}}})'
        for wanted in ('severity="critical"', 'severity!~"critical|none|info"')
    )
    return f"{critical} or {warning} unless on ({', '.join(labels)}) {critical}"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression of a panel, and how its series are named and coloured."""

    expr: str
    legend: str = ""
    colour: str = ""
    instant: bool = False
    exemplar: bool = False
    dashed: bool = False


def selector(*matchers: str) -> str:
    """The matchers as a PromQL selector; none of them makes an empty one."""
    return "{" + ", ".join(matchers) + "}" if matchers else ""


def equal(label: str, value: str) -> str:
    """A matcher: the label is exactly this value."""
    return f'{label}="{value}"'


def chosen(*labels: str) -> tuple[str, ...]:
    """One matcher for each variable of the board that is named after its label."""
    return tuple(f'{label}=~"${label}"' for label in labels)


def _by(labels: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(labels)}) " if labels else "sum "


def total(metric: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A gauge, added up."""
    return f"{_by(by)}({metric}{selector(*matchers)})"


def rate(metric: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A counter's rise per second, added up."""
    return f"{_by(by)}(rate({metric}{selector(*matchers)}[{WINDOW}]))"


def mean(histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A histogram's true mean: the rate of the sum by the rate of the count."""
    return f"{rate(histogram + '_sum', *matchers, by=by)} / {rate(histogram + '_count', *matchers, by=by)}"


def quantile(q: float, histogram: str, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A quantile over every instance at once: buckets are added up first."""
    return f"histogram_quantile({q:g}, {rate(histogram + '_bucket', *matchers, by=('le', *by))})"


def ratio(part: str, whole: str) -> str:
    """Part of a whole; a part that was never seen counts as 0 (a service without errors has no error series)."""
    return f"(({part}) or ({whole}) * 0) / ({whole})"


def known(expr: str) -> str:
    """The expression where it is a number: what was not asked for has no quantile and no mean, and NaN sorts first."""
    return f"({expr}) >= 0"


def either(*expressions: str) -> str:
    """The first of several spellings that has data."""
    return " or ".join(f"({expression})" for expression in expressions)


def highest(count: int, shown: str, series: str, *labels: str) -> str:
    """Of what is shown, where `series` rose highest in the time looked at, all along; `labels` identify them."""
    by = ", ".join(labels)
    return f"{shown} and on ({by}) topk({count}, max by ({by}) (max_over_time({series}[$__range] @ end())))"


def or_zero(expr: str) -> str:
    """The expression, or 0 where nothing matches: for counts, where nothing is an answer."""
    return f"({expr}) or vector(0)"


def percentiles(find: Callable[[float], str], *ranks: int) -> list[Query]:
    """The 99th, 95th and 50th percentile, or just the ranks given; `find` makes the expression of a quantile."""
    return [Query(find(rank / 100), f"p{rank}", _RANKS[rank]) for rank in ranks or _RANKS]
