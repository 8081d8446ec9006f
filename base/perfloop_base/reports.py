"""The one schema and reader of `prometheus/reports.yml`: which reports are made when, and where they are sent.

Dataclasses and located.py, no pydantic: see there.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.durations import parse_duration
from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, Field, parse_located, read_located
from perfloop_base.schedules import Schedule, read_schedule, read_zone
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

KINDS = ("alerts", "capacity", "optimization", "weekly")
CHANNELS = ("email", "slack", "page")
KEEP = 60
FEWEST_KEPT, MOST_KEPT = 2, 10_000  # with two, a clock that jumps and comes back sends nothing again
_SHORTEST, _LONGEST = 3600.0, 92 * 86_400.0  # seconds that a report is about
NAME_PATTERN = "[a-z][a-z0-9_-]{0,39}"

REPORT_FIELDS = (
    Field(name="report", about="the report's name: small letters, digits, - and _"),
    Field(name="kind", kind="choice", choices=KINDS, about="what is in it; weekly is the three others on two pages"),
    Field(name="schedule", about="when: a cron expression, minute hour day month weekday; 0 8 * * 1 is Monday, 08:00"),
    Field(name="time_zone", required=False, about="the time zone of the schedule and of the weeks, such as UTC"),
    Field(
        name="window",
        kind="duration",
        required=False,
        about="how long before its moment the report begins; without it, it is about the last full week",
    ),
    Field(
        name="channels",
        kind="labels",
        required=False,
        default=("email", "slack"),
        about="where it is sent, a list of email, slack and page; page is the analyzer's, where each report is kept",
    ),
)
FILE_FIELDS = (
    Field(name="time_zone", required=False, default="UTC", about="the time zone of reports that name none"),
    Field(name="keep", kind="number", required=False, default=float(KEEP), about="so many of each report are kept"),
)


@dataclass(frozen=True, slots=True)
class ScheduledReport:
    """One report that is made again and again.

    Attributes:
        kind: one of KINDS.
        window: how many seconds before its moment it begins; None for the last full week.
        channels: where it is sent, of CHANNELS.
    """

    name: str
    kind: str
    schedule: Schedule
    window: float | None = None
    channels: tuple[str, ...] = ("email", "slack")


@dataclass(frozen=True, slots=True)
class Reports:
    """The whole file: the reports, and how many of each are kept."""

    reports: tuple[ScheduledReport, ...] = ()
    keep: int = KEEP


def read_reports(path: Path, shown_as: str | None = None) -> Reports:
    """Read and check the file; `shown_as` is its name in problems, by default its path from the current directory.

    Raises:
        ConfigError: with every problem of the file, one sentence each: `file:line: …`.
    """
    return _check(read_located(path, [], shown_as))


def parse_reports(text: str, shown_as: str) -> Reports:
    """Do the same with the text of a file.

    Raises:
        ConfigError: with every problem of the text.
    """
    return _check(parse_located(text, shown_as, []))


def _check(root: Entry) -> Reports:
    root.allow((*(field.name for field in FILE_FIELDS), "reports"), "the file")
    own = Entry(root.file, root.line, root.problems)
    own.lines = root.lines
    own.update({field.name: root[field.name] for field in FILE_FIELDS if field.name in root})
    values = own.read(FILE_FIELDS, "the file")
    keep = values["keep"]
    if keep != int(keep) or not FEWEST_KEPT <= keep <= MOST_KEPT:
        rule = f"it must be a whole number from {FEWEST_KEPT} to {MOST_KEPT}"
        root.report(f"keep has the value {brief(root.get('keep'))}; {rule}.", "keep")
    zone = _read_zone(root, "the file", values["time_zone"])
    reports = tuple(_read_report(entry, zone) for entry in root.mappings("reports"))
    for name, count in Counter(one.name for one in reports).items():
        if name and count > 1:
            root.report(f"the report {name!r} is defined {count} times; every report has its own name.", "reports")
    if root.problems:
        raise ConfigError(root.problems)
    return Reports(reports, int(keep))


def _read_report(entry: Entry, zone: ZoneInfo) -> ScheduledReport:
    what = entry.title("report", "report")
    values = entry.read(REPORT_FIELDS, what)
    name = values["report"] or ""
    if name and not re.fullmatch(NAME_PATTERN, name):
        rule = "it must be small letters, digits, - and _, at most 40, and begin with a letter"
        entry.report(f"{what}: report has the value {brief(name)}; {rule}.", "report")
    for channel in values["channels"]:
        if channel not in CHANNELS:
            entry.report(f"{what}: channels has {brief(channel)}; known are {', '.join(CHANNELS)}.", "channels")
    window = parse_duration(values["window"]) if values["window"] else None
    if window is not None and not _SHORTEST <= window <= _LONGEST:
        entry.report(f"{what}: window has the value {brief(entry['window'])}; it must be from 1h to 92d.", "window")
    schedule = Schedule("", _read_zone(entry, what, values["time_zone"]) if values["time_zone"] else zone)
    if values["schedule"]:
        try:
            schedule = read_schedule(values["schedule"], schedule.zone)
        except ValueError as error:
            entry.report(f"{what}: schedule: {error}.", "schedule")
    return ScheduledReport(name, values["kind"] or "", schedule, window, tuple(dict.fromkeys(values["channels"])))


def _read_zone(entry: Entry, what: str, name: str) -> ZoneInfo:
    try:
        return read_zone(name)
    except ValueError as error:
        entry.report(f"{what}: time_zone: {error}.", "time_zone")
        return read_zone("UTC")
