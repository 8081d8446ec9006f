"""Cron expressions in a time zone: when something was last due, and when it is due next.

The expressions are cronsim's, which follows Debian's cron where the clocks change: what is due at a time of day that a
day does not have is due when the missing hour ends, and what is due at one that a day has twice is due once. A sixth
field in front counts seconds. The library is imported where an expression is read: files of schedules have their schema
without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from perfloop_base.visible import brief

if TYPE_CHECKING:
    from cronsim import CronSim

_FIELDS = (5, 6)
_LONGEST = 200
# Some moment within the lives of the time zones' rules: whether an expression ever fires does not depend on it.
_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression that fires, in a time zone. Moments are in Unix seconds."""

    expression: str
    zone: ZoneInfo

    def last(self, at: float) -> float | None:
        """Return the newest moment at or before `at` at which it fires; None where there is none in fifty years."""
        # cronsim looks strictly before what it is given.
        after = datetime.fromtimestamp(int(at), self.zone) + timedelta(seconds=1)
        found = next(_firings(self.expression, after, reverse=True), None)
        return found.timestamp() if found else None

    def next(self, at: float) -> float | None:
        """Return the first moment after `at` at which it fires; None where there is none in fifty years."""
        found = next(_firings(self.expression, datetime.fromtimestamp(int(at), self.zone)), None)
        return found.timestamp() if found else None


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name in the IANA database.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{brief(name)} is not a time zone: write a name of the IANA database, such as Europe/Berlin or UTC"
        ) from None


def read_schedule(expression: str, zone: ZoneInfo) -> Schedule:
    """Return the schedule of a cron expression.

    Raises:
        ValueError: It is no cron expression, or it never fires; one sentence with the value and the rule.
    """
    expression = " ".join(expression.split())
    if len(expression) > _LONGEST or len(expression.split()) not in _FIELDS:
        raise ValueError(
            f"{brief(expression)} is not a cron expression: write five fields, minute, hour, day of the month, month "
            "and day of the week, such as 0 8 * * 1 for Mondays at 08:00"
        )
    from cronsim import CronSimError

    try:
        if next(_firings(expression, _ANY_MOMENT), None) is not None:
            return Schedule(expression, zone)
    except CronSimError as error:
        what = str(error).removeprefix("Bad ")
        if not _fits_without_its_month(expression):
            raise ValueError(f"{brief(expression)} is not a cron expression: its {what} cannot be read") from None
    raise ValueError(f"{brief(expression)} never fires: no month of its has such a day")


def _fits_without_its_month(expression: str) -> bool:
    """Return whether the expression is right but for the month, which is too short for its day."""
    from cronsim import CronSimError

    fields = expression.split()
    fields[-2] = "*"
    try:
        _firings(" ".join(fields), _ANY_MOMENT)
        _firings(f"0 0 1 {expression.split()[-2]} *", _ANY_MOMENT)
    except CronSimError:
        return False
    return True


def _firings(expression: str, moment: datetime, *, reverse: bool = False) -> CronSim:
    """Return the moments after, or before, another one at which an expression fires."""
    from cronsim import CronSim

    return CronSim(expression, moment, reverse=reverse)
