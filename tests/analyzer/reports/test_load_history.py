"""Load by week: changes, growth and seasons, and when they are not known."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.reports.history import (
    ERRORS,
    HOUR_SECONDS,
    LOWEST_HEADROOM,
    P95,
    RATE,
    WEEKS,
    HistoryFacts,
    ServiceHistory,
    build_history,
)
from perfloop_analyzer.reports.history_sections import capacity_headlines, capacity_section, matters
from perfloop_analyzer.reports.window import last_full_week
from perfloop_analyzer.series import Batch, Floats, Grid

ZONE = ZoneInfo("Europe/Berlin")
WINDOW = last_full_week(1_796_000_000.0, ZONE)
HOURS = WEEKS * 168
START = WINDOW.weeks_before(WEEKS)[0][0]
GRID = Grid(WINDOW.end - HOUR_SECONDS * (HOURS - 1), HOUR_SECONDS, HOURS)
TIMES = GRID.times()
DEMO = {"service": "demo"}


def batch(values: Floats, signal: str = RATE) -> Batch:
    """One service's series."""
    return Batch(signal, GRID, (DEMO,), np.atleast_2d(values))


def one(rates: Floats, **more: Floats) -> ServiceHistory:
    """The history of one service."""
    hourly = {RATE: batch(rates)} | {name: batch(values, name) for name, values in more.items()}
    (found,) = build_history(HistoryFacts(hourly), WINDOW).services
    return found


def test_the_figures_of_a_week_are_those_of_its_hours() -> None:
    """Mean and busiest hour; failures weighted by the requests of each hour."""
    rates = np.full(HOURS, 10.0)
    rates[-168:] = np.arange(168.0)
    errors = np.where(np.arange(HOURS) % 2 == 0, 0.0, 0.1)
    found = one(rates, **{ERRORS: errors, P95: rates / 100})
    assert (found.last.rate, found.last.peak, found.last.coverage) == (83.5, 167.0, 1.0)
    assert found.last.p95 == pytest.approx(0.835)
    assert found.last.worst_p95 == pytest.approx(1.67)
    assert found.last.errors == pytest.approx((rates[-168:] * errors[-168:]).sum() / rates[-168:].sum())
    assert [week.rate for week in found.weeks[:-1]] == [10.0] * 4
    assert found.change == pytest.approx(7.35)


@given(st.floats(0.5, 2.0))
def test_growth_is_that_of_the_weeks(factor: float) -> None:
    """A load that is multiplied each week grows by that, whatever its daily pattern."""
    weeks = np.floor((TIMES - START - 1.0) / (168 * HOUR_SECONDS))
    rates = (100 + 50 * np.sin(2 * np.pi * TIMES / 86_400)) * factor**weeks
    assert one(rates).growth == pytest.approx(factor - 1, abs=0.02)


def test_one_odd_week_does_not_make_growth() -> None:
    """The median of all pairs of weeks is not moved by one of five."""
    rates = np.full(HOURS, 100.0)
    rates[168:336] = 1000.0
    assert one(rates).growth == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("known_hours", "change", "growth", "note"),
    [
        (HOURS, True, True, ""),
        (400, True, False, "its growth is not known: that needs 3 weeks of data"),
        (168, False, False, "the week before it is not known"),
        (84, False, False, "only 50% of the last week is known"),
    ],
)
def test_a_short_history_gives_no_figure_that_it_does_not_carry(
    known_hours: int, change: object, growth: object, note: str
) -> None:
    """What is missing is said."""
    rates = np.where(np.arange(HOURS) >= HOURS - known_hours, 100.0, np.nan)
    found = one(rates)
    assert (found.change is not None, found.growth is not None) == (change, growth)
    assert not note or any(sentence.startswith(note) for sentence in found.notes)


def test_the_busiest_hour_is_that_of_the_time_zone() -> None:
    """A load with its peak at 14:30 local time."""
    local = np.array([(WINDOW.local(moment - HOUR_SECONDS / 2).hour) for moment in TIMES])
    season = one(100 + 50 * np.cos(2 * np.pi * (local - 14) / 24)).season
    assert season is not None
    assert (season.busiest, season.quietest) == (14, 2)
    assert season.strength > 0.95


@pytest.mark.parametrize("shape", ["flat", "noise"])
def test_a_load_without_a_pattern_has_no_season(shape: str, rng: np.random.Generator) -> None:
    """The busiest hour of noise is no season."""
    rates = np.full(HOURS, 50.0) if shape == "flat" else rng.normal(100, 10, HOURS)
    found = one(rates)
    assert found.season is None
    assert "its load has no daily pattern" in found.notes


def test_what_the_analyzer_planned_is_shown_as_it_was_published() -> None:
    """Headroom, the first limit, the forecast with its bounds; the sooner of two limits."""
    planned = {
        "capacity": [
            ({**DEMO, "bound": bound}, value)
            for bound, value in (("lower", 580.0), ("expected", 620.0), ("upper", 700.0))
        ],
        "headroom": [(DEMO, 4.4)],
        LOWEST_HEADROOM: [(DEMO, 1.1)],
        "limit": [({**DEMO, "resource": "database_pool"}, 1.0)],
        "forecast": [({**DEMO, "horizon": "1d", "bound": "expected"}, 200.0)],
        "until": [
            ({**DEMO, "signal": s, "bound": b}, v)
            for s, b, v in (
                ("Disk used", "expected", 9e5),
                ("Memory used", "expected", 8e5),
                ("Disk used", "lower", 1e5),
            )
        ],
    }
    history = build_history(HistoryFacts({RATE: batch(np.full(HOURS, 140.0))}, planned), WINDOW)
    assert history.services[0].planned.until == (8e5, "Memory used")
    assert capacity_headlines(history)[1] == "demo can carry 4.4 times its load; its first limit is database pool."
    row = [cell.text for cell in capacity_section(history, WINDOW).tables[1].rows[0]]
    assert row[:5] == ["demo", "620/s (580/s to 700/s)", "4.4 times", "1.1 times", "database pool"]
    assert list(matters(history)) == ["Memory used of demo reaches its limit in 9 d at this drift."]


def test_objectives_and_goals_are_those_of_the_boards() -> None:
    """What is left of a budget, and what is overspent; goals as they are shown."""
    planned = {
        "budgets": [({**DEMO, "slo": "latency"}, -0.5), ({**DEMO, "slo": "availability"}, 0.9)],
        "goals": [({**DEMO, "goal": "10 x the load now", "state": "not met"}, 1.0)],
    }
    history = build_history(HistoryFacts({RATE: batch(np.full(HOURS, 140.0))}, planned), WINDOW)
    table = capacity_section(history, WINDOW).tables[2]
    assert [[(cell.text, cell.mood) for cell in row[1:]] for row in table.rows] == [
        [("error budget of availability", ""), ("90% left", "good")],
        [("error budget of latency", ""), ("overspent by 50%", "bad")],
        [("goal: 10 x the load now", ""), ("not met", "bad")],
    ]
    assert next(matters(history)) == "The error budget of latency, demo: overspent by 50%."


def test_without_capacity_the_headroom_is_not_known() -> None:
    """It is said, and no number stands in its place."""
    history = build_history(HistoryFacts({RATE: batch(np.full(HOURS, 140.0))}), WINDOW)
    assert capacity_headlines(history)[1] == "The headroom is not known: the analyzer published no capacity."
    assert "The headroom of 1 service is not known: demo." in list(matters(history))


def test_an_empty_prometheus_has_no_services() -> None:
    """One sentence, and an empty table."""
    history = build_history(HistoryFacts({}), WINDOW)
    assert history.unknown[0].startswith("Prometheus has no requests of this time")
    assert capacity_headlines(history) == ("How many requests were answered is not known.",)
    assert capacity_section(history, WINDOW).tables[0].rows == ()


def test_several_series_of_a_service_are_one() -> None:
    """Rates add up; the slowest counts."""
    labels = ({**DEMO, "instance": "a"}, {**DEMO, "instance": "b"})
    values = np.vstack([np.full(HOURS, 10.0), np.full(HOURS, 30.0)])
    rates, slow = (Batch(name, GRID, labels, values) for name in (RATE, P95))
    (found,) = build_history(HistoryFacts({RATE: rates, P95: slow}), WINDOW).services
    assert (found.last.rate, found.last.p95) == (40.0, 30.0)


def test_a_slow_service_matters() -> None:
    """Where the middle hour is above the limit."""
    facts = HistoryFacts({RATE: batch(np.full(HOURS, 9.0)), P95: batch(np.full(HOURS, 0.5), P95)}, limits={"demo": 0.3})
    assert any("is slow: the middle 95th percentile" in sentence for sentence in matters(build_history(facts, WINDOW)))
    relaxed = replace(facts, limits={"demo": 0.6})
    assert not any("is slow" in sentence for sentence in matters(build_history(relaxed, WINDOW)))
