"""Metrics, plots and texts: what is shown, escaped and bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from perfloop_analyzer.findings import MOST_BANDS, Reading
from perfloop_analyzer.firing import Firing, read_firing
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.ports import Health, Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.reporters.formatting import clock, mood, worst_first
from perfloop_analyzer.reporters.html import Record, render_page, render_report
from perfloop_analyzer.reporters.metrics import ResultCollector, reading_families
from perfloop_analyzer.series import Batch, Grid


def _exposed(published: Published) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ResultCollector(published))
    return generate_latest(registry).decode()


def test_before_the_first_cycle_only_costs_are_exposed() -> None:
    """No score is published before there is data."""
    text = _exposed(Published())
    assert 'perfloop_analyzer_cycles_total{outcome="complete"} 0.0' in text
    assert "perfloop_health_score" not in text


def test_labels_are_escaped_and_titles_bounded(build: Any) -> None:
    """A quote in a service's name breaks nothing."""
    finding = build.finding(service='a"b\\c\n', labels={"service": 'a"b\\c\n'})
    incidents = group_incidents([finding], Topology(), lambda _finding: 1.0)
    published = Published(Result(1.0, (Health('a"b\\c\n', 90.0, {"x": 10.0}),), (finding,), incidents))
    text = _exposed(published)
    assert 'service="a\\"b\\\\c\\n"' in text
    assert "perfloop_root_cause_score" in text


def test_a_series_has_a_label_only_where_there_are_several() -> None:
    """Labels other than the service's go into one label, and are absent when there are none."""
    readings = [
        Reading("signal_value", "s", "shop", 1.0, {"service": "shop"}),
        Reading("signal_value", "s", "shop", 2.0, {"service": "shop", "pool": "a"}),
        Reading("seconds_until_limit:lower", "s", "shop", 60.0, {}),
        Reading("anomaly_score", "s", "shop", 0.5, {"service": "shop"}),
        Reading("anomaly_score", "s", "shop", 0.7, {"service": "shop", "pool": "a"}),
    ]
    samples = [sample for family in reading_families(readings) for sample in family.samples]
    labels = [sample.labels for sample in samples]
    assert {"service": "shop", "signal": "s"} in labels
    assert {"service": "shop", "signal": "s", "series": "pool=a"} in labels
    assert {"service": "shop", "signal": "s", "bound": "lower"} in labels


def test_bands_are_bounded_by_the_loudest_series() -> None:
    """Of too many series the most anomalous are published."""
    readings = [Reading("anomaly_score", "s", f"s{i}", float(i), {}) for i in range(MOST_BANDS + 100)]
    (family,) = reading_families(readings)
    assert len(family.samples) == MOST_BANDS
    assert min(sample.value for sample in family.samples) == 100.0


def test_page_shows_a_failed_cycle_and_keeps_the_last_result() -> None:
    """The page shows its age and the reason."""
    published = Published(Result(1000.0, (Health("shop", 100.0, {}),)), error="Prometheus does not answer <now>")
    page = render_page(published, 1090.0)
    assert "90 s ago" in page
    assert "Prometheus does not answer &lt;now&gt;" in page
    assert "No cycle has succeeded yet" in render_page(Published(), 0.0)


def test_report_without_anything_is_whole() -> None:
    """An empty day is a report too."""
    firing = Firing(({"alertname": "X<y>", "severity": "critical"},), "")
    html = render_report(Result(1000.0), {}, Record(firing=firing))
    assert "No findings." in html
    assert "X&lt;y&gt;" in html


def test_a_report_says_which_alerts_fire_or_that_it_could_not_ask() -> None:
    """None is firing only where Prometheus said so."""
    asked, not_asked = (
        render_report(Result(1000.0), {}, Record(firing=firing)) for firing in (Firing((), ""), Firing())
    )
    assert "None is firing." in asked
    assert "None is firing." not in not_asked
    assert "Unknown: Prometheus was not asked yet." in not_asked


def test_alerts_that_ended_do_not_fire() -> None:
    """The last point counts; the most severe comes first."""
    values = np.array([[1.0, 1.0], [1.0, np.nan], [np.nan, 1.0]])
    labels = ({"alertname": "A", "severity": "warning"}, {"alertname": "B"}, {"alertname": "C", "severity": "critical"})
    firing = read_firing(Batch("alerts", Grid(0.0, 30.0, 2), labels, values), 30.0)
    assert ([one["alertname"] for one in firing.alerts], firing.problem) == (["C", "A"], "")
    assert read_firing(Batch("alerts", Grid(0.0, 30.0, 2), (), np.empty((0, 2))), 30.0).alerts == ()


def test_moods_and_moments() -> None:
    """Three moods, and time in UTC."""
    assert [mood(score) for score in (95, 75, 20)] == ["good", "fair", "bad"]
    assert clock(0) == "1970-01-01 00:00:00 UTC"


def test_the_order_of_services() -> None:
    """The whole first, then the sickest."""
    health = [Health("a", 100.0, {}), Health("b", 40.0, {}), Health("overall", 40.0, {})]
    assert [one.service for one in worst_first(health)] == ["overall", "b", "a"]


def test_what_was_measured_is_exported_and_reported() -> None:
    """A validated recommendation that stands no more is still a series, with its gain, and a line of the report."""
    measured = {"gain": 0.62, "low": 0.5, "high": 0.7, "p_value": 0.001}
    recommendation = Recommendation(
        "id-1", "r", "shop", "database", "database", "high", "T", "do", "low", "none", (), (), state="validated"
    )
    recommendation = replace(recommendation, values={"measured": measured})
    result = Result(1000.0, (Health("shop", 100.0, {}),), decided=(recommendation,))
    text = _exposed(Published(result))
    assert 'perfloop_recommendation_measured_improvement_ratio{id="id-1"} 0.62' in text
    assert 'state="validated"' in text
    assert "-62% (-50 to -70%)" in render_report(result, {}, Record(stored=[recommendation]))
