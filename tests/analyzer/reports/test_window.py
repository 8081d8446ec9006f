"""Which span a report is about."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.reports.pages import read_window
from perfloop_analyzer.reports.window import Window, check_window, last_full_week

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
NOW = datetime(2026, 11, 30, 8, tzinfo=BERLIN).timestamp()


def test_the_last_full_week_is_over() -> None:
    """On Monday morning it is the week that ended at midnight; on Sunday night that before it."""
    assert last_full_week(NOW, BERLIN).words == "23 to 29 November 2026 (Europe/Berlin)"
    sunday = datetime(2026, 11, 29, 23, 59, tzinfo=BERLIN).timestamp()
    assert last_full_week(sunday, BERLIN).words == "16 to 22 November 2026 (Europe/Berlin)"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-30", 167), ("2026-10-26", 169), ("2026-06-01", 168)])
def test_a_week_in_which_the_clocks_change_has_another_length(day: str, hours: int) -> None:
    """It is from midnight to midnight all the same."""
    week = last_full_week(datetime.fromisoformat(f"{day}T08:00").replace(tzinfo=BERLIN).timestamp(), BERLIN)
    assert week.seconds == hours * 3600
    assert week.local(week.start).hour == week.local(week.end).hour == 0


@given(st.floats(0, 4_000_000_000), st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu", "America/New_York"]))
def test_a_week_ends_on_the_monday_before(moment: float, name: str) -> None:
    """Whatever the moment and the time zone."""
    zone = ZoneInfo(name)
    week = last_full_week(moment, zone)
    assert week.end <= moment
    assert moment - week.end < 8 * 86_400
    assert week.local(week.start).weekday() == week.local(week.end).weekday() == 0
    assert week.weeks_before(3)[-1] == (week.start, week.end)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (None, None, "23 to 29 November 2026 (Europe/Berlin)"),
        ("2026-11-01", "2026-12-01", None),
        ("2026-11-28", "2026-11-29", "28 November 2026 (Europe/Berlin)"),
        ("2025-12-29", "2026-01-05", "29 December 2025 to 4 January 2026 (Europe/Berlin)"),
        ("2026-10-31", "2026-11-02", "31 October to 1 November 2026 (Europe/Berlin)"),
        (None, "2026-11-23", "16 to 22 November 2026 (Europe/Berlin)"),
    ],
)
def test_a_span_that_people_ask_for(start: str | None, end: str | None, words: str | None) -> None:
    """Dates are days of the report's time zone."""
    if words is None:
        with pytest.raises(ConfigError, match=r"--to is .*, in the future"):
            read_window(start, end, "Europe/Berlin", NOW)
        return
    assert read_window(start, end, "Europe/Berlin", NOW).words == words


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        ("2027-01-01", "2027-01-08", "--from is Fri 2027-01-01 00:00, in the future: a report is about the past"),
        ("2026-11-20", "2026-11-19", "--to is Thu 2026-11-19 00:00, not after --from, Fri 2026-11-20 00:00"),
        ("2026-11-20", "2026-11-20", "--to is Fri 2026-11-20 00:00, not after --from"),
        ("2026-01-01", "2026-11-20", "is no span for a report: it must be from 10 minutes to 92 days"),
        ("yesterday", None, "'yesterday' is not a moment"),
        ("1970-01-01", "1970-01-09", None),
        (None, "1970-01-01", "--from is before 1970"),
        ("0001-01-01", "2026-01-01", "--from is before 1970"),
        ("9999-12-31", None, "in the future"),
        ("nan", None, "'nan' is not a moment"),
        ("-5", None, "'-5' is not a moment"),
    ],
)
def test_a_span_of_which_nothing_can_be_said_is_refused(
    start: str | None, end: str | None, sentence: str | None
) -> None:
    """One sentence with the moments and the rule; the first days of all are no mistake."""
    if sentence is None:
        assert read_window(start, end, "UTC", NOW).words == "1 to 8 January 1970 (UTC)"
        return
    with pytest.raises((ConfigError, ValueError)) as refused:
        read_window(start, end, "UTC", NOW)
    assert sentence in str(refused.value)


def test_prometheus_is_asked_for_no_more_points_than_it_answers() -> None:
    """Two minutes over a week, a minute over a day, whole minutes over any span."""
    assert Window(0.0, 7 * 86_400.0, UTC).step() == 120.0
    assert Window(0.0, 86_400.0, UTC).step() == 60.0
    assert all(
        Window(0.0, days * 86_400.0, UTC).seconds / Window(0.0, days * 86_400.0, UTC).step() <= 11_000
        for days in range(1, 93)
    )


def test_now_itself_may_be_the_end() -> None:
    """A clock that is a few seconds behind does not refuse it."""
    check_window(Window(NOW - 3600, NOW + 30, UTC), NOW)
