"""Regular reviews: a report is scheduled, and the ones that were due have been made."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from perfloop.check import advice
from perfloop.check.findings import failed, passed, unknown
from perfloop.check.sources import in_words
from perfloop_base.reports import read_reports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources
    from perfloop_base.reports import ScheduledReport

_LAST, _DUE = "perfloop_report_last_success_timestamp_seconds", "perfloop_report_due_timestamp_seconds"
_GRACE_SECONDS = 3600.0  # a report that is due is made within minutes; a delivery that failed is tried again


def look_at_reviews(sources: Sources) -> Iterator[Finding]:
    """A report is scheduled, and none that was due is missing."""
    path, shown = sources.file("prometheus", "reports.yml")
    if not path.is_file():
        yield failed(f"{shown} is missing: no report is scheduled", advice.SCHEDULE)
        return
    reports = read_reports(path, shown).reports
    if not reports:
        yield failed(f"{shown} schedules no report", advice.SCHEDULE)
        return
    last, due = ({labels.get("report", ""): value for labels, value in sources.query(name)} for name in (_LAST, _DUE))
    absent = [one.name for one in reports if one.name not in last or one.name not in due]
    overdue = {name for name, at in due.items() if last.get(name, at) < at < sources.now - _GRACE_SECONDS}
    missed = [_missed(one, due[one.name], last[one.name]) for one in reports if one.name in overdue]
    if absent:
        yield unknown(f"the analyzer publishes nothing of the report {', '.join(absent)}", advice.APPLY)
    elif missed:
        yield failed(in_words(missed), advice.READ_ANALYZER)
    else:
        yield passed(in_words([_described(one, last[one.name], sources.now) for one in reports]))


def _missed(report: ScheduledReport, due: float, last: float) -> str:
    arrived = f"arrived last {_moment(report, last)}" if last else "never arrived"
    return f"{report.name} was due {_moment(report, due)} and {arrived}"


def _described(report: ScheduledReport, last: float, now: float) -> str:
    due = report.schedule.next(now)
    coming = f"next {_moment(report, due)}" if due else "never again"
    made = f"last {_moment(report, last)}" if last else "not sent yet"
    return f"{report.name}: {made}, {coming}"


def _moment(report: ScheduledReport, unix: float) -> str:
    zone = report.schedule.zone
    return f"{datetime.fromtimestamp(unix, zone):%Y-%m-%d %H:%M} {zone}"
