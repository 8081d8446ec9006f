"""The text formats, byte for byte as prometheus_client writes them."""

from __future__ import annotations

import random
import subprocess

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from perfloop_base.buckets import DEFAULT
from perfloop_exporter.metrics.collector import FamiliesCollector
from perfloop_exporter.metrics.exposition import render, render_openmetrics
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.metrics.series import Exemplar

AWKWARD = ["plain", 'quote"', "back\\slash", "new\nline", "per%cent %d", "ünï", "", "{brace}"]


class Pair:
    """The same metrics in perfloop's registry and in prometheus_client's."""

    def __init__(self) -> None:
        self.ours = MetricRegistry()
        self.theirs = CollectorRegistry()
        names = ("zone", "kind")
        self.histograms = (
            self.ours.histogram("work_seconds", "Wörk \\ with\nlines.", names),
            Histogram("work_seconds", "Wörk \\ with\nlines.", names, registry=self.theirs, buckets=DEFAULT),
        )
        self.counters = self.ours.counter("jobs_total", "Jobs.", names), Counter("jobs", "Jobs.", names, registry=None)
        self.theirs.register(self.counters[1])
        self.gauges = self.ours.gauge("depth", "Depth."), Gauge("depth", "Depth.", registry=self.theirs)

    def fill(self, source: random.Random, size: int) -> None:
        """Record the same random values in both."""
        for _ in range(size):
            value = source.choice([source.expovariate(3), source.random() * 1e7, 0.1, 10.0, 0.0])
            labels = source.choice(AWKWARD), source.choice(AWKWARD)
            for metric in self.histograms:
                metric.labels(*labels).observe(value)
            for metric in self.counters:
                metric.labels(*labels).inc(value)
            self.gauges[0].labels().set(-value)
            self.gauges[1].set(-value)


@pytest.fixture(autouse=True)
def _without_created_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """prometheus_client adds a `_created` line per series by default; Prometheus advises against it."""
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_bytes_as_generate_latest(seed: int):
    """One registry filled twice gives the same text in both formats."""
    pair = Pair()
    pair.fill(random.Random(seed), 300)
    assert generate_latest(pair.theirs) == render(pair.ours.families())
    assert generate_openmetrics(pair.theirs) == render_openmetrics(pair.ours.families()) + b"# EOF\n"


def test_counts_of_a_million_and_more():
    """From seven digits on numbers have an exponent, as in Go."""
    pair = Pair()
    ours, theirs = pair.histograms[0].labels("a", "b"), pair.histograms[1].labels("a", "b")
    ours.counts[3] = 1_234_567
    theirs._buckets[3].inc(1_234_567)
    assert generate_latest(pair.theirs) == render([pair.histograms[0], pair.counters[0], *gauge_families(pair)])
    assert b"1.234567e+06" in render([pair.histograms[0]])


def gauge_families(pair: Pair) -> list:
    """Return the gauge family, which prometheus_client writes before anything was set."""
    pair.gauges[0].labels()
    return [pair.gauges[0]]


def test_exemplars_follow_their_bucket():
    """An exemplar has the bytes of prometheus_client."""
    pair = Pair()
    ours, theirs = pair.histograms[0].labels("a", "b"), pair.histograms[1].labels("a", "b")
    ours.observe(0.3)
    ours.keep_exemplar(Exemplar((("trace_id", 'x"y'),), 0.3, 12.5))
    theirs.observe(0.3, {"trace_id": 'x"y'})
    expected = generate_openmetrics(pair.theirs)
    stamp = expected.split(b"} 0.3 ")[1].split(b"\n")[0]
    mine = render_openmetrics([pair.histograms[0]])
    assert mine == expected.replace(stamp, b"12.5")[: len(mine)]


def test_the_collector_gives_the_same_bytes():
    """Registered in prometheus_client's registry, the families are written unchanged."""
    pair = Pair()
    pair.fill(random.Random(1), 100)
    registry = CollectorRegistry()
    registry.register(FamiliesCollector(pair.ours.families))
    assert generate_latest(registry) == render(pair.ours.families())
    assert generate_openmetrics(registry) == render_openmetrics(pair.ours.families()) + b"# EOF\n"


def test_promtool_reports_nothing(promtool: str):
    """Prometheus's linter accepts the text."""
    pair = Pair()
    pair.fill(random.Random(2), 50)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=render(pair.ours.families()), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, b"")
