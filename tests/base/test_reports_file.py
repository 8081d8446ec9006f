"""reports.yml: what it may say, and every problem of a wrong one at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_base.reports import Reports, parse_reports, read_reports

if TYPE_CHECKING:
    from pathlib import Path


def test_the_shipped_file_sends_the_weekly_review_on_mondays(checkout: Path) -> None:
    """At 08:00 UTC, by mail and Slack."""
    (review,) = read_reports(checkout / "prometheus" / "reports.yml").reports
    assert (review.name, review.kind, review.schedule.expression) == ("weekly_review", "weekly", "0 8 * * 1")
    assert (review.schedule.zone.key, review.channels, review.window) == ("UTC", ("email", "slack"), None)


def test_a_report_may_have_its_own_time_zone_window_and_channels() -> None:
    """Those of the file hold for the others."""
    text = """
time_zone: Europe/Berlin
keep: 7
reports:
- {report: a, kind: alerts, schedule: "0 7 * * *", window: 1d, channels: [page]}
- {report: b, kind: capacity, schedule: "0 7 1 * *", time_zone: Asia/Tokyo}
"""
    found = parse_reports(text, "reports.yml")
    first, second = found.reports
    assert (found.keep, first.window, first.channels) == (7, 86_400.0, ("page",))
    assert (first.schedule.zone.key, second.schedule.zone.key) == ("Europe/Berlin", "Asia/Tokyo")


@pytest.mark.parametrize("text", ["", "reports:\n", "reports: []\n"])
def test_a_file_without_reports_schedules_none(text: str) -> None:
    """An empty list, or none, is no mistake."""
    assert parse_reports(text or "{}", "reports.yml") == Reports()


def test_every_problem_is_reported_with_its_line() -> None:
    """One sentence each: the thing, the value, the rule."""
    text = """time_zone: Mars/Olympus
keep: 1
repots: []
reports:
- {report: A b, kind: weakly, schedule: "0 0 30 2 *", channels: [fax], window: 5s}
- {report: x, kind: weekly, schedule: "61 * * * *", time_zone: Europe}
- {report: x, kind: weekly}
"""
    with pytest.raises(ConfigError) as refused:
        parse_reports(text, "reports.yml")
    expected = [
        "reports.yml:3: the file: unknown field 'repots'; did you mean 'reports'?",
        "reports.yml:2: keep has the value 1; it must be a whole number from 2 to 10000.",
        "reports.yml:1: the file: time_zone: 'Mars/Olympus' is not a time zone",
        "reports.yml:5: report A b: kind has the value 'weakly'; it must be one of alerts, capacity",
        "reports.yml:5: report A b: report has the value 'A b'; it must be small letters",
        "reports.yml:5: report A b: channels has 'fax'; known are email, slack, page.",
        "reports.yml:5: report A b: window has the value '5s'; it must be from 1h to 92d.",
        "reports.yml:5: report A b: schedule: '0 0 30 2 *' never fires",
        "reports.yml:6: report x: time_zone: 'Europe' is not a time zone",
        "reports.yml:6: report x: schedule: '61 * * * *' is not a cron expression",
        "reports.yml:7: report x has no schedule.",
        "reports.yml:4: the report 'x' is defined 2 times",
    ]
    assert len(refused.value.problems) == len(expected)
    for sentence, beginning in zip(refused.value.problems, expected, strict=True):
        assert sentence.startswith(beginning)
