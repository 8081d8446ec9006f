"""Our writer of histograms gives what prometheus_client's gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily, Metric

from perfloop_base.errors import ExitCode
from perfloop_loadgen.cli import main
from perfloop_loadgen.reporters.histograms import HistogramFamily, render
from perfloop_loadgen.samples.histogram import Histogram

if TYPE_CHECKING:
    import pytest

BOUNDS = (0.0001, 0.1651, 0.5, 1.0)
LABELS = ("test", "endpoint")
NASTY = ('50% "off"\\', "GET /\n{x}%s")


class Collector:
    """A registry's source of given families."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> tuple[Metric, ...]:
        """Return them."""
        return self._families


def page(*families: Metric) -> CollectorRegistry:
    """A registry of these families."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(*families))
    return registry


def test_the_page_has_what_prometheus_client_writes():
    """The same lines, labels that need escapes and counts beyond a million included."""
    ours = HistogramFamily("work_seconds", "Wörk\\\n.", LABELS, BOUNDS)
    theirs = HistogramMetricFamily("work_seconds", "Wörk\\\n.", labels=LABELS)
    for labels, times in ((NASTY, 3), (("a", "b"), 2_000_000)):
        histogram = Histogram()
        for nanoseconds in (20_000, 160_000_000, 700_000_000, 9_000_000_000):
            histogram.record(nanoseconds, times)
        ours.add_metric(labels, histogram)
        buckets = [*zip(map(str, BOUNDS), map(float, histogram.cumulative(BOUNDS)), strict=True)]
        theirs.add_metric(labels, [*buckets, ("+Inf", histogram.count)], histogram.total_seconds)
    gauge = GaugeMetricFamily("users", "Users.", value=3)
    expected = generate_latest(page(gauge, theirs)).decode()
    written = render(page(gauge, ours)).decode()
    assert numbers(written) == numbers(expected)
    assert generate_latest(page(gauge, ours)).decode() == expected


def numbers(text: str) -> list[tuple[str, float] | str]:
    """The lines, with their values as numbers: 2e+06 and 2000000.0 are the same."""
    lines = text.splitlines()
    found = [re.fullmatch(r"(.+[ }])([-+.\de]+|[+-]Inf)", line) for line in lines if not line.startswith("#")]
    return [line for line in lines if line.startswith("#")] + [(one[1], float(one[2])) for one in found if one]


def test_wrong_bounds_end_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Before a request is sent: exit code 2 and one sentence."""
    monkeypatch.setenv("PERFLOOP_BUCKETS", "0.5,0.1")
    assert main(["run", "--profile", "basic", "--url", "http://127.0.0.1:1"]) == ExitCode.USAGE
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "PERFLOOP_BUCKETS" in line]
    assert "PERFLOOP_BUCKETS has the value '0.5,0.1'; it must be one of fine, medium, coarse, or up to 500" in line
