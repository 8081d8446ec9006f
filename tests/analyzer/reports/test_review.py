"""Recommendations of a window, and each report in every form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from perfloop_analyzer.reports.alerts import AlertFacts, build_alerts
from perfloop_analyzer.reports.history import HistoryFacts, build_history
from perfloop_analyzer.reports.optimization import OptimizationFacts, build_optimization
from perfloop_analyzer.reports.optimization_sections import optimization_headlines, optimization_section
from perfloop_analyzer.reports.rendering import (
    REPORT_POLICY,
    render_body,
    render_html,
    render_json,
    render_mail,
    render_markdown,
)
from perfloop_analyzer.reports.review import Parts, compose
from perfloop_analyzer.reports.schema import report_schema
from perfloop_base.reports import KINDS
from perfloop_base.web.headers import page_policy
from tests.analyzer.reports.weeks import MADE, WINDOW, advice, events, make_parts

if TYPE_CHECKING:
    from pathlib import Path


def test_a_life_is_shown_by_the_steps_of_the_window() -> None:
    """What was opened before, implemented and measured within: with its gain and its saving."""
    one = advice(measured={"gain": 0.5, "low": 0.4, "high": 0.55, "metric": "api_response_time_p95"})
    life = events(WINDOW.start - 9, WINDOW.start + 1, WINDOW.start + 2, WINDOW.start + 3)
    facts = OptimizationFacts([one], {one.id: life}, {(one.id, "measured"): 123.4}, "EUR")
    found = build_optimization(facts, WINDOW)
    (moved,) = found.moved
    assert (moved.steps, moved.recommendation.state) == (("accept", "implement", "validate"), "validated")
    assert (moved.kept_its_promise, found.measured_saving) == (True, 123.4)
    assert optimization_headlines(found) == (
        "Recommendations: 1 accepted, 1 implemented, 1 validated; 0 are open.",
        "1 of 1 change brought what was expected.",
        "What was done saves 123 EUR a month, measured.",
    )


def test_the_return_is_that_of_the_work() -> None:
    """By the prices in use: what the work costs over what it saves in a month, measured where it was measured."""
    money = {
        "currency": "EUR",
        "expected_saving_per_month": 50.0,
        "measured_saving_per_month": 100.0,
        "effort_cost": 320.0,
    }
    life = events(WINDOW.start, WINDOW.start + 1, WINDOW.start + 2, WINDOW.start + 3)
    facts = OptimizationFacts([advice(money=money, effort_hours=4.0)], {"slow-1": life})
    found = build_optimization(facts, WINDOW)
    assert (found.payback_months, found.currency, found.moved[0].effort_hours) == (3.2, "EUR", 4.0)
    assert optimization_headlines(found)[-1] == (
        "What was done saves 100 EUR a month, measured; the work on it is paid back after 3.2 months."
    )
    free = build_optimization(
        OptimizationFacts([advice(money=money | {"effort_cost": None})], {"slow-1": life}), WINDOW
    )
    assert free.payback_months is None


def test_a_past_window_shows_the_states_of_then() -> None:
    """What was decided later is open in it; what came later is not in it."""
    one, later = advice("a"), advice("b")
    lives = {"a": events(WINDOW.start + 1, WINDOW.end + 1), "b": events(WINDOW.end + 1)}
    found = build_optimization(OptimizationFacts([one, later], lives, {("a", "expected"): 5.5}, "EUR"), WINDOW)
    assert [(item.recommendation.id, item.recommendation.state) for item in found.open] == [("a", "open")]
    assert optimization_headlines(found)[-1] == "What is open would save 5.50 EUR a month."


def test_without_the_database_nothing_is_said_to_have_happened() -> None:
    """And why it is not known."""
    found = build_optimization(OptimizationFacts(None, unknown=("the database failed",)), WINDOW)
    assert optimization_headlines(found) == ("What became of recommendations is not known.",)
    assert optimization_section(found).unknown == ("the database failed",)


def test_without_prices_no_money_is_shown() -> None:
    """Not even nought."""
    found = build_optimization(OptimizationFacts([advice()], {"slow-1": events(WINDOW.start + 1)}), WINDOW)
    assert optimization_section(found).facts[-1].value == "no prices are given"
    assert found.as_dict()["currency"] is None


@pytest.fixture(scope="module")
def parts() -> Parts:
    """A week with every kind of thing in it."""
    return make_parts()


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_of_every_report_escapes_what_comes_from_outside(parts: Parts, kind: str) -> None:
    """No script, no escape sequence, no broken table; a page loads nothing."""
    report = compose(kind, parts, WINDOW, MADE)
    page, text = render_html(report), render_markdown(report)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page + text
    assert "\u202e" not in page + text
    assert not re.search(r"""\b(src|href)=["']?(https?:)?//""", page)
    for block in re.split(r"\n(?!\|)", text):
        rows = [line for line in block.split("\n") if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_json_form_has_the_published_schema(parts: Parts, kind: str) -> None:
    """Each kind has its parts and no others."""
    document = json.loads(render_json(compose(kind, parts, WINDOW, MADE)))
    assert [error.message for error in Draft202012Validator(report_schema()).iter_errors(document)] == []
    shown = {"alerts", "capacity", "optimization"} if kind == "weekly" else {kind}
    assert shown == {"alerts", "capacity", "optimization"} & document.keys()


def test_the_published_schema_is_current(checkout: Path) -> None:
    """The file is what `python -m perfloop_analyzer.reports.schema` writes."""
    published = json.loads((checkout / "docs" / "schemas" / "report.schema.json").read_text())
    Draft202012Validator.check_schema(published)
    assert published == report_schema()


def test_the_review_is_short(parts: Parts) -> None:
    """Five rows of each table and one picture; how many more there are is said."""
    report = compose("weekly", parts, WINDOW, MADE)
    tables = [table for section in report.sections for table in section.tables]
    assert max(len(table.rows) for table in tables) == 5
    assert "7 more." in render_markdown(report)
    assert sum(len(section.pictures) for section in report.sections) == 1
    assert all(len(section.points) <= 6 for section in report.sections)


def test_the_style_of_a_page_is_what_its_policy_allows(parts: Parts) -> None:
    """By its hash; whatever a label holds is not allowed to run."""
    assert page_policy(render_html(compose("alerts", parts, WINDOW, MADE))) == REPORT_POLICY


def test_a_mail_has_no_pictures_but_says_where_they_are(parts: Parts) -> None:
    """Mail programs show no SVG."""
    body = render_body(compose("weekly", parts, WINDOW, MADE))
    assert "<svg" in body
    mail = render_mail("Weekly", body, "http://analyzer/reports/x")
    assert "<svg" not in mail
    assert '<a href="http://analyzer/reports/x">' in mail
    assert mail.count("<table") == body.count("<table")


def test_what_nobody_knows_is_said_once(parts: Parts) -> None:
    """At the top, not beside every table."""
    report = compose("weekly", parts, WINDOW, MADE)
    assert len(report.unknown) == len(set(report.unknown)) > 0
    assert render_markdown(report).count(report.unknown[0]) == 1


def test_a_week_of_which_nothing_is_known_is_a_report_all_the_same() -> None:
    """Empty Prometheus, no database: it says so, and shows no figure."""
    empty = Parts(
        build_alerts(AlertFacts(None, np.zeros(5, dtype=bool), unknown=("Prometheus is new",)), WINDOW),
        build_history(HistoryFacts({}), WINDOW),
        build_optimization(OptimizationFacts(None, unknown=("the database failed",)), WINDOW),
    )
    text = render_markdown(compose("weekly", empty, WINDOW, MADE))
    assert "Which alerts fired is not known." in text
    assert not re.search(r"\*\*\d", text)


def test_a_report_that_is_stored_is_plain_json(parts: Parts) -> None:
    """What a program reads has no number that JSON lacks."""
    endless = replace(parts.history.services[0], growth=float("inf"))
    broken = replace(parts, history=replace(parts.history, services=(endless,)))
    document = json.loads(render_json(compose("capacity", broken, WINDOW, MADE)))
    assert document["capacity"]["services"][0]["growth_per_week_ratio"] is None
