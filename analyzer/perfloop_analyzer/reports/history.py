"""The historical and capacity report: how load and its price in time moved by week, its seasons, its growth, headroom.

Everything is computed from values of one hour: a request rate over that hour, the 95th percentile of its requests, and
the share that failed. A week is only compared with others where it is known almost whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_analyzer.reports.window import Window
    from perfloop_analyzer.series import Batch, Floats, Grid, Labels

HOUR_SECONDS = 3600.0
WEEKS = 5
HOURS_A_DAY = 24
# Of a week that is compared with others.
LEAST_COVERED = 0.8
LEAST_WEEKS_OF_GROWTH = 3
LEAST_DAYS_OF_SEASON = 3
# Share of the variance that the hour of the day explains from which on load has a daily pattern.
DAILY_PATTERN = 0.3
RATE, P95, ERRORS = "request_rate", "api_response_time_p95", "error_ratio"
# What is read of the analyzer's own series, and of the objectives, as of the end of the window.
PLANNED = {
    "capacity": "perfloop_capacity_requests_per_second",
    "headroom": "perfloop_headroom_ratio",
    "limit": "perfloop_capacity_limit_info",
    "forecast": "perfloop_forecast_requests_per_second",
    "until": "perfloop_seconds_until_limit",
    "goals": "perfloop_capacity_goal_info",
    # As the board of objectives has it.
    "budgets": "max by (service, slo) (service_slo:slo_error_budget_left:ratio)",
}
LOWEST_HEADROOM = "headroom_lowest"

Point = tuple["Labels", float]


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """What is known of the load.

    Attributes:
        hourly: By signal, its series on a grid of hours; the grid ends where the window does.
        planned: By name of PLANNED, and LOWEST_HEADROOM, the values at the end of the window with their labels.
        limits: The limit of the 95th percentile by service, in seconds.
        unknown: One sentence for each source that did not answer.
    """

    hourly: Mapping[str, Batch]
    planned: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Week:
    """One week of a service; rates in requests per second, times in seconds, None where it is not known.

    Attributes:
        start: Its first moment in Unix seconds.
        coverage: The share of its hours that are known.
        rate: The mean rate.
        peak: The rate of its busiest hour.
        p95: The 95th percentile of its middle hour: half of the hours had a lower one.
        worst_p95: That of its slowest hour.
        errors: The share of its requests that failed.
    """

    start: float
    coverage: float
    rate: float | None
    peak: float | None
    p95: float | None
    worst_p95: float | None
    errors: float | None

    @property
    def is_whole(self) -> bool:
        """Whether enough of it is known to compare it with another week."""
        return self.coverage >= LEAST_COVERED and self.rate is not None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Season:
    """The daily pattern of the load: its busiest and quietest hour in the report's time zone, mean rates.

    Attributes:
        strength: The share of the variance of hours that the hour of the day explains, from 0 to 1.
    """

    strength: float
    busiest: int
    busiest_rate: float
    quietest: int
    quietest_rate: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Planned:
    """What the analyzer published of a service's capacity at the end of the window; None where it published nothing.

    Attributes:
        capacity, forecast: By bound; the forecast by horizon and bound. Requests per second.
        headroom: Capacity by rate; `lowest` is the least of the window.
        limit: The first limit, a resource.
        until: The seconds until a signal reaches its limit, the soonest, and the signal.
        goals: Whether each goal of the rate is met, not met or not shown.
        budgets: By objective the share of its error budget of thirty days that is left, negative where it is overspent.
    """

    capacity: Mapping[str, float] = field(default_factory=dict)
    headroom: float | None = None
    lowest: float | None = None
    limit: str = ""
    forecast: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    until: tuple[float, str] | None = None
    goals: Mapping[str, str] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)

    @property
    def first_limit(self) -> str:
        """The first limit in words; empty where it is not known."""
        return self.limit.replace("_", " ")

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        until = {"seconds": self.until[0], "signal": self.until[1]} if self.until else None
        return {
            "capacity_requests_per_second": dict(self.capacity),
            "headroom_ratio": self.headroom,
            "lowest_headroom_ratio": self.lowest,
            "limit": self.limit or None,
            "forecast_requests_per_second": {horizon: dict(bounds) for horizon, bounds in self.forecast.items()},
            "until_limit": until,
            "goals": dict(self.goals),
            "error_budget_left_ratio": dict(self.budgets),
        }


@dataclass(frozen=True, slots=True)
class ServiceHistory:
    """One service: its weeks, the oldest first, growth, seasons and capacity.

    Attributes:
        change: The mean rate of the last week by that of the week before, minus 1; None where one is not whole.
        growth: The growth of the mean rate per week over all whole weeks; None where there are too few.
        season: None where load has no daily pattern, or too little of it is known.
        notes: Why a figure is missing, one sentence each.
        rates: The rate of each hour of the window, of a day at least, with the moment of its middle.
        limit: The limit of the 95th percentile in seconds; None where it has none.
    """

    service: str
    weeks: tuple[Week, ...]
    change: float | None
    growth: float | None
    season: Season | None
    planned: Planned
    notes: tuple[str, ...] = ()
    rates: tuple[tuple[float, float], ...] = ()
    limit: float | None = None

    @property
    def last(self) -> Week:
        """The week that ends with the window."""
        return self.weeks[-1]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "service": self.service,
            "weeks": [week.as_dict() for week in self.weeks],
            "change_ratio": self.change,
            "growth_per_week_ratio": self.growth,
            "season": self.season.as_dict() if self.season else None,
            "capacity": self.planned.as_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class History:
    """The load of every service, the busiest first."""

    services: tuple[ServiceHistory, ...]
    unknown: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"services": [one.as_dict() for one in self.services]}


def build_history(facts: HistoryFacts, window: Window) -> History:
    """Return what is known of the load up to the end of a window."""
    rates = facts.hourly.get(RATE)
    names = sorted({service_of(labels) for labels in rates.labels}) if rates is not None else []
    found = [_service(name, facts, window) for name in names]
    found.sort(key=lambda one: (-(one.last.rate or 0.0), one.service))
    unknown = facts.unknown
    if not found and not unknown:
        unknown = ("Prometheus has no requests of this time: no service was scraped, or its retention is shorter",)
    return History(tuple(found), unknown)


def _service(name: str, facts: HistoryFacts, window: Window) -> ServiceHistory:
    rates = _row(facts.hourly, RATE, name)
    weeks = tuple(_week(name, facts, span) for span in window.weeks_before(WEEKS))
    grid = facts.hourly[RATE].grid
    change, growth = _change(weeks), _growth(weeks)
    season, reason = _season(rates, grid, window)
    notes = tuple(_notes(weeks, change, growth, reason))
    times = grid.times()
    shown = times > window.end - max(window.seconds, 86_400.0)
    # In the middle of the hour that each one stands for.
    plotted = tuple(zip((times[shown] - HOUR_SECONDS / 2).tolist(), rates[shown].tolist(), strict=True))
    planned, limit = _planned(name, facts.planned), facts.limits.get(name)
    return ServiceHistory(name, weeks, change, growth, season, planned, notes, plotted, limit)


def _row(hourly: Mapping[str, Batch], signal: str, service: str) -> Floats:
    """Return the values of a service's signal, its series added up; NaN where nothing is known."""
    points = hourly[RATE].grid.points
    batch = hourly.get(signal)
    own = [] if batch is None else [row for row, labels in enumerate(batch.labels) if service_of(labels) == service]
    if batch is None or not own:
        return np.full(points, np.nan)
    values = batch.values[own]
    total = np.nansum(values, axis=0) if signal == RATE else np.nanmax(np.nan_to_num(values, nan=-np.inf), axis=0)
    return np.where(np.isfinite(values).any(axis=0), total, np.nan)


def _week(name: str, facts: HistoryFacts, span: tuple[float, float]) -> Week:
    """Return the figures of a week; a point of the grid stands for the hour that it ends."""
    times = facts.hourly[RATE].grid.times()
    inside = (times > span[0] + 1.0) & (times <= span[1] + 1.0)
    rate, p95, errors = (_row(facts.hourly, signal, name)[inside] for signal in (RATE, P95, ERRORS))
    known = rate[np.isfinite(rate)]
    hours = max(1, round((span[1] - span[0]) / HOUR_SECONDS))
    slow = p95[np.isfinite(p95)]
    both = np.isfinite(rate) & np.isfinite(errors)
    requests = float(rate[both].sum())
    return Week(
        span[0],
        min(1.0, len(known) / hours),
        float(known.mean()) if known.size else None,
        float(known.max()) if known.size else None,
        float(np.median(slow)) if slow.size else None,
        float(slow.max()) if slow.size else None,
        float((rate[both] * errors[both]).sum()) / requests if requests > 0 else None,
    )


def _change(weeks: Sequence[Week]) -> float | None:
    before, last = weeks[-2:]
    if not (before.is_whole and last.is_whole and before.rate and last.rate is not None):
        return None
    return last.rate / before.rate - 1.0


def _growth(weeks: Sequence[Week]) -> float | None:
    """Return the growth per week: the median of the growths between any two weeks (Theil and Sen, on logarithms)."""
    whole = [(number, math.log(week.rate)) for number, week in enumerate(weeks) if week.is_whole and week.rate]
    if len(whole) < LEAST_WEEKS_OF_GROWTH:
        return None
    slopes = [(b - a) / (j - i) for k, (i, a) in enumerate(whole) for j, b in whole[k + 1 :]]
    return math.expm1(float(np.median(slopes)))


def _season(rates: Floats, grid: Grid, window: Window) -> tuple[Season | None, str]:
    """Return the daily pattern, and why there is none."""
    known = np.isfinite(rates)
    if known.sum() < LEAST_DAYS_OF_SEASON * HOURS_A_DAY:
        return None, f"its daily pattern is not known: that needs {LEAST_DAYS_OF_SEASON} days of data"
    # A point stands for the hour before it.
    hours = np.array([window.local(moment - HOUR_SECONDS).hour for moment in grid.times()])
    means = np.array(
        [rates[known & (hours == hour)].mean() if (known & (hours == hour)).any() else np.nan for hour in range(24)]
    )
    spread = float(np.var(rates[known]))
    if not np.isfinite(means).all() or spread <= 0:
        return None, "its load has no daily pattern"
    strength = 1.0 - float(np.mean((rates[known] - means[hours[known]]) ** 2)) / spread
    if strength < DAILY_PATTERN:
        return None, "its load has no daily pattern"
    top, low = int(means.argmax()), int(means.argmin())
    return Season(strength, top, float(means[top]), low, float(means[low])), ""


def _notes(weeks: Sequence[Week], change: float | None, growth: float | None, no_season: str) -> Iterator[str]:
    last = weeks[-1]
    if not last.is_whole:
        yield f"only {last.coverage:.0%} of the last week is known, so it is compared with no other"
    elif change is None:
        yield "the week before it is not known, so that there is no change to show"
    if growth is None:
        yield f"its growth is not known: that needs {LEAST_WEEKS_OF_GROWTH} weeks of data"
    if no_season:
        yield no_season


def _planned(service: str, planned: Mapping[str, Sequence[Point]]) -> Planned:
    own = {
        name: [(labels, value) for labels, value in points if labels.get("service") == service and math.isfinite(value)]
        for name, points in planned.items()
    }
    forecast: dict[str, dict[str, float]] = {}
    for labels, value in own.get("forecast", ()):
        forecast.setdefault(labels.get("horizon", ""), {})[labels.get("bound", "")] = value
    until = sorted(
        (value, labels.get("signal", "")) for labels, value in own.get("until", ()) if labels.get("bound") == "expected"
    )
    return Planned(
        {labels.get("bound", ""): value for labels, value in own.get("capacity", ())},
        next((value for _, value in own.get("headroom", ())), None),
        next((value for _, value in own.get(LOWEST_HEADROOM, ())), None),
        next((labels.get("resource", "") for labels, _ in own.get("limit", ())), ""),
        forecast,
        until[0] if until else None,
        {labels.get("goal", ""): labels.get("state", "") for labels, _ in own.get("goals", ())},
        {labels.get("slo", ""): value for labels, value in own.get("budgets", ())},
    )
