"""Cron expressions in time zones: what was due last, what comes next, and what never comes."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.schedules import Schedule, read_schedule, read_zone

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    """Unix seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def local(moment: float | None, zone: ZoneInfo = BERLIN) -> str:
    """A moment as a local time with its offset."""
    assert moment is not None
    return datetime.fromtimestamp(moment, zone).isoformat()


def test_the_last_moment_is_now_or_before() -> None:
    """At the very moment it is due; a second earlier it is that of the week before."""
    mondays = read_schedule("0 8 * * 1", BERLIN)
    moment = at("2026-11-30T08:00:00")
    assert mondays.last(moment) == moment
    assert mondays.last(moment + 0.5) == moment
    assert mondays.last(moment - 0.5) == at("2026-11-23T08:00:00")
    assert mondays.next(moment) == at("2026-12-07T08:00:00")


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        # 02:30 does not exist on this day: it is due when the missing hour ends.
        ("30 2 * * *", "2026-03-29T12:00:00", "2026-03-29T03:00:00+02:00"),
        # 02:30 exists twice on this day: it is due at the first.
        ("30 2 * * *", "2026-10-25T12:00:00", "2026-10-25T02:30:00+02:00"),
        # Mondays at eight stay at eight, though a week has 167 or 169 hours.
        ("0 8 * * 1", "2026-03-30T09:00:00", "2026-03-30T08:00:00+02:00"),
        ("0 8 * * 1", "2026-10-26T09:00:00", "2026-10-26T08:00:00+01:00"),
        ("0 0 29 2 *", "2027-06-01T00:00:00", "2024-02-29T00:00:00+01:00"),
        ("*/10 * * * * *", "2026-06-01T00:00:09", "2026-06-01T00:00:00+02:00"),
    ],
)
def test_clocks_that_change_and_rare_days(expression: str, now: str, expected: str) -> None:
    """What was due last, by the wall clock of the time zone."""
    assert local(read_schedule(expression, BERLIN).last(at(now))) == expected


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    weekday=st.integers(0, 6),
    seconds=st.floats(1_500_000_000, 2_500_000_000),
)
def test_the_last_moment_is_what_a_walk_through_the_minutes_finds(
    minute: int, hour: int, weekday: int, seconds: float
) -> None:
    """In UTC, where no clock changes: the newest minute at or before that has this weekday, hour and minute."""
    schedule = Schedule(f"{minute} {hour} * * {weekday}", ZoneInfo("UTC"))
    day = datetime.fromtimestamp(seconds, UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
    candidates = (day - timedelta(days=back) for back in range(9))
    expected = next(
        one for one in candidates if one.timestamp() <= seconds and one.isoweekday() % 7 == weekday
    ).timestamp()
    assert schedule.last(seconds) == expected
    following = schedule.next(expected)
    assert following == expected + 7 * 86_400


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("0 0 30 2 *", "'0 0 30 2 *' never fires: no month of its has such a day"),
        ("0 0 31 4,6 *", "'0 0 31 4,6 *' never fires: no month of its has such a day"),
        ("61 * * * *", "'61 * * * *' is not a cron expression: its minute cannot be read"),
        ("0 0 32 * *", "'0 0 32 * *' is not a cron expression: its day-of-month cannot be read"),
        ("0 0 * 13 *", "'0 0 * 13 *' is not a cron expression: its month cannot be read"),
        ("@weekly", "'@weekly' is not a cron expression: write five fields"),
        ("", "'' is not a cron expression: write five fields"),
        ("* " * 300, "is not a cron expression: write five fields"),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_sentence(expression: str, sentence: str) -> None:
    """The value and the rule, also for a day that no month has."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is compared
        read_schedule(expression, BERLIN)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "", "../../etc/passwd", "UTC\0", "Berlin"])
def test_an_unknown_time_zone_is_refused(name: str) -> None:
    """A directory of the database, a path, nothing: one sentence."""
    with pytest.raises(ValueError, match="is not a time zone: write a name of the IANA database"):
        read_zone(name)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is a schedule that fires, or refused."""
    with suppress(ValueError):
        assert read_schedule(text, BERLIN).next(0.0) is not None
