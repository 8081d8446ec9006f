"""Load, seasons, growth and headroom in words, tables and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.reports.document import MOST_ROWS, Cell, Fact, Picture, Section, Table
from perfloop_analyzer.reports.wording import UNKNOWN, bounded, change, counted, factor, rate
from perfloop_base.plots import Axes, Line, Notes, draw
from perfloop_base.quantities import quantity, span
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.reports.history import History, ServiceHistory
    from perfloop_analyzer.reports.window import Window

LITTLE_HEADROOM, ENOUGH_HEADROOM = 1.2, 2.0
HORIZONS = {"1h": "next hour", "1d": "next day", "1w": "next week"}
LITTLE_BUDGET = 0.25  # as on the board of objectives
_GOAL_MOODS = {"met": "good", "not met": "bad"}
MOST_PICTURES = 4
MOST_NOTED = 20  # services whose missing figures are explained
NOTABLE_CHANGE = 0.25  # of the rate within a week


def capacity_headlines(history: History) -> tuple[str, ...]:
    """Return how load moved and what headroom is left: of the busiest service, and of the one with the least."""
    return tuple(_headlines(history))


def _headlines(history: History) -> Iterator[str]:
    if not history.services:
        yield "How many requests were answered is not known."
        return
    top = history.services[0]
    moved = f", {change(top.change)} on the week before" if top.change is not None else ""
    peak = f"{rate(top.last.peak)} in its busiest hour"
    yield f"{top.service} answered {rate(top.last.rate)} on average and {peak}{moved}."
    tight = [one for one in history.services if one.planned.headroom is not None]
    if not tight:
        yield "The headroom is not known: the analyzer published no capacity."
        return
    least = min(tight, key=lambda one: one.planned.headroom or 0.0)
    first = f"; its first limit is {least.planned.first_limit}" if least.planned.limit else ""
    yield f"{least.service} can carry {factor(least.planned.headroom)} its load{first}."


def capacity_section(history: History, window: Window, *, most: int | None = None) -> Section:
    """Return the section; `most` services and one picture with it."""
    tables = [_load_table(history), _headroom_table(history)]
    if most is None:
        tables += [_budget_table(history), _weeks_table(history, window), _season_table(history)]
    tables = [table.shortened(most or MOST_ROWS) for table in tables]
    pictures = [_picture(one) for one in history.services[: 1 if most else MOST_PICTURES]]
    notes = [f"{one.service}: {note}." for one in history.services[:MOST_NOTED] for note in one.notes]
    points = tuple(notes) if most is None else ()
    return Section(
        "capacity", "Load and capacity", points, _facts(history), tuple(tables), tuple(pictures), history.unknown
    )


def _facts(history: History) -> tuple[Fact, ...]:
    if not history.services:
        return ()
    top = history.services[0]
    return (
        Fact(f"Requests, {top.service}", rate(top.last.rate)),
        Fact("On the week before", change(top.change)),
        Fact("Growth a week", change(top.growth)),
        Fact("Headroom", factor(top.planned.headroom), mood_of(top.planned.headroom)),
    )


def mood_of(headroom: float | None) -> str:
    """Return the mood of a headroom."""
    if headroom is None:
        return ""
    return "bad" if headroom < LITTLE_HEADROOM else "fair" if headroom < ENOUGH_HEADROOM else "good"


def _load_table(history: History) -> Table:
    columns = ("service", "requests", "busiest hour", "95th percentile", "slowest hour", "failed", "change", "growth")
    rows = tuple(
        (
            Cell(one.service),
            Cell(rate(one.last.rate), small="" if one.last.is_whole else f"{one.last.coverage:.0%} of the week known"),
            Cell(rate(one.last.peak)),
            Cell(_seconds(one.last.p95), _late(one.last.p95, one.limit)),
            Cell(_seconds(one.last.worst_p95), _late(one.last.worst_p95, one.limit)),
            Cell(UNKNOWN if one.last.errors is None else quantity(one.last.errors, "ratio", 2)),
            Cell(change(one.change)),
            Cell(change(one.growth), small="a week" if one.growth is not None else ""),
        )
        for one in history.services
    )
    return Table(columns, rows, "No service had requests.", "The week's load")


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else quantity(value, "seconds", 2)


def _late(value: float | None, limit: float | None) -> str:
    return "bad" if value is not None and limit is not None and value > limit else ""


def _headroom_table(history: History) -> Table:
    columns = ("service", "capacity", "headroom", "lowest", "first limit", *HORIZONS.values())
    rows = tuple(
        (
            Cell(one.service),
            Cell(bounded(one.planned.capacity)),
            Cell(factor(one.planned.headroom), mood_of(one.planned.headroom)),
            Cell(factor(one.planned.lowest), mood_of(one.planned.lowest)),
            Cell(one.planned.first_limit or UNKNOWN, small=_until(one)),
            *(Cell(bounded(one.planned.forecast.get(horizon, {}))) for horizon in HORIZONS),
        )
        for one in history.services
    )
    return Table(columns, rows, "No service had requests.", "Capacity, headroom and the load that is expected")


def _until(one: ServiceHistory) -> str:
    if one.planned.until is None:
        return ""
    seconds, signal = one.planned.until
    return f"{signal} at its limit in {span(seconds)}"


def _weeks_table(history: History, window: Window) -> Table:
    starts = [week.start for week in history.services[0].weeks] if history.services else []
    columns = ("service", *(f"from {window.local(start):%d %B}" for start in starts))
    rows = tuple(
        (
            Cell(one.service),
            *(
                Cell(rate(week.rate), small=f"95th {_seconds(week.p95)}" if week.p95 is not None else "")
                for week in one.weeks
            ),
        )
        for one in history.services
    )
    return Table(columns, rows, "No service had requests.", "Mean rate and middle 95th percentile by week")


def _budget_table(history: History) -> Table:
    rows = [
        (Cell(one.service), Cell(f"error budget of {slo.replace('_', ' ')}"), Cell(_left(left), _mood_of_budget(left)))
        for one in history.services
        for slo, left in sorted(one.planned.budgets.items())
    ]
    rows += [
        (Cell(one.service), Cell(f"goal: {goal}"), Cell(state, _GOAL_MOODS.get(state, "")))
        for one in history.services
        for goal, state in sorted(one.planned.goals.items())
    ]
    empty = "No objective was judged, and no goal of a rate is known."
    return Table(("service", "objective", "state"), tuple(rows), empty, "Objectives of thirty days, and goals")


def _left(share: float) -> str:
    return f"{quantity(share, 'ratio', 2)} left" if share > 0 else f"overspent by {quantity(-share, 'ratio', 2)}"


def _mood_of_budget(left: float) -> str:
    return "bad" if left <= 0 else "fair" if left < LITTLE_BUDGET else "good"


def _season_table(history: History) -> Table:
    seasons = [(one.service, one.season) for one in history.services if one.season]
    rows = tuple(
        (
            Cell(service),
            Cell(f"{season.busiest:02d}:00, {rate(season.busiest_rate)}"),
            Cell(f"{season.quietest:02d}:00, {rate(season.quietest_rate)}"),
            Cell(f"{season.strength:.0%}"),
        )
        for service, season in seasons
    )
    columns = ("service", "busiest hour of the day", "quietest", "of the variation explained")
    return Table(columns, rows, "No service has a daily pattern that its data show.", "Seasons")


def _picture(one: ServiceHistory) -> Picture:
    capacity = one.planned.capacity.get("expected")
    axes = Axes("UTC", moments=True, unit="per_second")
    title = f"Requests per second, {one.service}"
    picture = draw(visible(title), [Line(visible(one.service), one.rates)], axes, Notes(capacity))
    headroom = f"capacity {rate(capacity)}" if capacity is not None else ""
    return Picture(title, picture, headroom)


def matters(history: History) -> Iterator[str]:
    """Yield what needs attention, one sentence each, the most urgent first."""
    for one in history.services:
        headroom = one.planned.headroom
        if headroom is not None and headroom < ENOUGH_HEADROOM:
            what = f"; the first limit is {one.planned.first_limit}" if one.planned.limit else ""
            yield f"{one.service} has little headroom: it can carry {factor(headroom)} its load{what}."
        spent = sorted((left, slo) for slo, left in one.planned.budgets.items() if left < LITTLE_BUDGET)
        if spent:
            left, slo = spent[0]
            yield f"The error budget of {slo.replace('_', ' ')}, {one.service}: {_left(left)}."
        if one.planned.until is not None:
            seconds, signal = one.planned.until
            yield f"{signal} of {one.service} reaches its limit in {span(seconds)} at this drift."
        if _late(one.last.p95, one.limit):
            middle, limit = _seconds(one.last.p95), _seconds(one.limit)
            yield f"{one.service} is slow: the middle 95th percentile of its hours is {middle}, its limit {limit}."
        if one.change is not None and abs(one.change) > NOTABLE_CHANGE:
            yield f"The load of {one.service} moved by {change(one.change)} within a week."
    unknown = [one.service for one in history.services if one.planned.headroom is None]
    if unknown:
        yield f"The headroom of {counted(len(unknown), 'service')} is not known: {', '.join(unknown[:3])}."
