"""The span of time that a report is about: by default the last full week, from Monday to Monday in a time zone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from perfloop_analyzer.errors import ConfigError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

WEEK_DAYS = 7
SHORTEST_SECONDS, LONGEST_SECONDS = 600.0, 92 * 86_400.0
# What Prometheus answers at most, less what a grid needs at its ends.
MOST_POINTS = 10_000
FINEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end` in Unix seconds, with the time zone in which its days are counted."""

    start: float
    end: float
    zone: ZoneInfo

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    @property
    def words(self) -> str:
        """The span for people: whole days as dates, else both moments."""
        first, last = self.local(self.start), self.local(self.end)
        if _is_midnight(first) and _is_midnight(last):
            last -= timedelta(days=1)
            if first.date() == last.date():
                return f"{_date(first)} ({self.zone.key})"
            return f"{_date(first, last)} to {_date(last)} ({self.zone.key})"
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} ({self.zone.key})"

    def local(self, moment: float) -> datetime:
        """Return a moment in the window's time zone."""
        return datetime.fromtimestamp(moment, self.zone)

    def clock(self, moment: float) -> str:
        """Return a moment in the window's time zone as people read it, to the minute."""
        return f"{self.local(moment):%a %Y-%m-%d %H:%M}"

    def step(self, finest: float = FINEST_SECONDS) -> float:
        """Return the time between two points of which Prometheus answers so many in one query."""
        return max(finest, math.ceil(self.seconds / MOST_POINTS / finest) * finest)

    def weeks_before(self, count: int) -> list[tuple[float, float]]:
        """Return so many spans of seven days that end where the window does, the oldest first.

        Days are counted in the time zone, so that one with 23 or 25 hours is a day.
        """
        end = self.local(self.end)
        edges = [(end - timedelta(days=WEEK_DAYS * back)).timestamp() for back in range(count, -1, -1)]
        return list(pairwise(edges))


def last_full_week(at: float, zone: ZoneInfo) -> Window:
    """Return the week from Monday to Monday that was over at a moment."""
    local = datetime.fromtimestamp(at, zone)
    monday = datetime(local.year, local.month, local.day, tzinfo=zone) - timedelta(days=local.weekday())
    return Window((monday - timedelta(days=WEEK_DAYS)).timestamp(), monday.timestamp(), zone)


def window_at(due: float, length: float | None, zone: ZoneInfo) -> Window:
    """Return what a report is about that is due at a moment: so many seconds before it, or the last full week."""
    return last_full_week(due, zone) if length is None else Window(due - length, due, zone)


def check_window(window: Window, now: float) -> None:
    """Refuse a span of which nothing can be reported.

    Raises:
        ConfigError: It lies in the future, ends before it begins, or is too short or too long; one sentence.
    """
    if window.start < 0:
        raise ConfigError("--from is before 1970: a report is about a time that Prometheus can have seen")
    first, last = window.clock(window.start), window.clock(window.end)
    if window.start >= now:
        raise ConfigError(f"--from is {first}, in the future: a report is about the past")
    if window.end > now + FINEST_SECONDS:
        raise ConfigError(f"--to is {last}, in the future: a report is about the past")
    if window.end <= window.start:
        raise ConfigError(f"--to is {last}, not after --from, {first}: a report needs a span of time")
    if not SHORTEST_SECONDS <= window.seconds <= LONGEST_SECONDS:
        raise ConfigError(f"{first} to {last} is no span for a report: it must be from 10 minutes to 92 days")


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second) == (0, 0, 0)


def _date(moment: datetime, last: datetime | None = None) -> str:
    """Return a date, without the month and year that the last one of the span repeats."""
    if last is None or moment.year != last.year:
        return f"{moment.day} {moment:%B %Y}"
    return f"{moment.day}" if moment.month == last.month else f"{moment.day} {moment:%B}"
