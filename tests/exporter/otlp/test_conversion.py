"""Pages as OpenTelemetry's metrics: every sample is there, and a receiver's suffixes change no name."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.otlp.conversion import Moments, convert, read_page, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

export = pytest.importorskip("opentelemetry.sdk.metrics.export")
MOMENTS = Moments(2_000_000_000, 1_000_000_000)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def normalized(name: str, unit: str, *, monotonic: bool, gauge: bool) -> str:
    """Return the name that Prometheus gives by default: the rules of otlptranslator's metric_namer.go, written down."""
    units = {"s": "seconds", "By": "bytes", "Cel": "celsius", "Hz": "hertz", "V": "volts", "A": "amperes"}
    units |= {"J": "joules", "W": "watts", "1": ""}
    tokens = [token for token in re.split(r"[^a-zA-Z0-9:]", name) if token]
    if units.get(unit, unit) and units.get(unit, unit) not in tokens:
        tokens.append(units.get(unit, unit))
    if monotonic:
        tokens = [*(token for token in tokens if token != "total"), "total"]
    if unit == "1" and gauge:
        tokens = [*(token for token in tokens if token != "ratio"), "ratio"]
    return "_".join(tokens)


WORDS = st.sampled_from(
    ["node", "cpu", "total", "seconds", "bytes", "ratio", "x", "Active", "celsius", "joules", "count", "per", "hertz"]
)


@given(words=st.lists(WORDS, min_size=1, max_size=6), kind=st.sampled_from(["counter", "gauge", "untyped"]))
def test_prometheus_renames_nothing(words: list[str], kind: str):
    """Whatever our metrics are called, the default translation leaves it as it is on the page."""
    name = "_".join(words)
    (family,) = read_page(f"# TYPE {name} {kind}\n{name} 1\n")
    (metric,), lost = convert([family], MOMENTS)
    assert not lost
    monotonic = isinstance(metric.data, export.Sum)
    gauge = isinstance(metric.data, export.Gauge)
    expected = normalized(metric.name, metric.unit, monotonic=monotonic, gauge=gauge)
    # A gauge that has the word for a ratio twice is the one name that is beyond help; ours have it once.
    if not (gauge and words.count("ratio") > 1 and metric.unit == "1"):
        assert expected == name


def test_units_are_those_that_names_end_with():
    """In UCUM's code, before `_total`; nothing where a name says nothing."""
    names = {
        "x_seconds": "s",
        "x_bytes_total": "By",
        "x_ratio": "1",
        "x_celsius": "Cel",
        "x_total": "",
        "seconds_x": "",
    }
    assert {name: unit_of(name) for name in names} == names


def test_every_kind_of_prometheus_client_arrives():
    """Values, types, starts, and the samples of a summary under the names of the page."""
    registry = CollectorRegistry()
    Counter("jobs", "Jobs.", ["kind"], registry=registry).labels("a").inc(3)
    Gauge("depth", "Depth.", registry=registry).set(math.nan)
    Summary("wait_seconds", "Wait.", registry=registry).observe(0.5)
    histogram = Histogram("run_seconds", "Run.", ["kind"], buckets=(0.1, 1), registry=registry)
    histogram.labels("a").observe(0.5, {"trace_id": TRACE, "span_id": SPAN, "route": "/x"})
    metrics, lost = convert(registry.collect(), MOMENTS)
    by_name = {metric.name: metric for metric in metrics}
    assert not lost
    assert set(by_name) == {"jobs_total", "depth", "wait_seconds_count", "wait_seconds_sum", "run_seconds"}
    (jobs,) = by_name["jobs_total"].data.data_points
    assert (jobs.value, dict(jobs.attributes), by_name["jobs_total"].data.is_monotonic) == (3.0, {"kind": "a"}, True)
    assert jobs.start_time_unix_nano > MOMENTS.now  # when the client made it, not when the page began
    (run,) = by_name["run_seconds"].data.data_points
    assert (list(run.bucket_counts), list(run.explicit_bounds), run.count, run.sum) == ([0, 1, 0], [0.1, 1.0], 1, 0.5)
    (exemplar,) = run.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert dict(exemplar.filtered_attributes) == {"route": "/x"}


@pytest.mark.parametrize(
    "labels", [{"trace_id": TRACE}, {"trace_id": "x", "span_id": SPAN}, {"trace_id": TRACE.upper()}]
)
def test_an_exemplar_without_both_ids_keeps_its_labels(labels: dict[str, str]):
    """The message has fields for a whole pair alone; Prometheus makes the same labels of attributes."""
    registry = CollectorRegistry()
    Histogram("run_seconds", "Run.", buckets=(1,), registry=registry).observe(0.5, labels)
    (metric,), _ = convert(registry.collect(), MOMENTS)
    (exemplar,) = metric.data.data_points[0].exemplars
    assert (exemplar.trace_id, dict(exemplar.filtered_attributes)) == (None, labels)


def test_a_family_that_is_broken_costs_itself_alone():
    """Buckets that fall, or none up to infinity, are named as lost; the others are sent."""
    text = (
        "# TYPE a histogram\n"
        'a_bucket{le="1"} 5\na_bucket{le="+Inf"} 3\na_count 3\na_sum 1\n'
        "# TYPE b histogram\n"
        'b_bucket{le="1"} 5\nb_count 5\nb_sum 1\n'
        "# TYPE c gauge\nc 1\n"
    )
    metrics, lost = convert(text_string_to_metric_families(text), MOMENTS)
    assert ([metric.name for metric in metrics], lost) == (["c"], ["a", "b"])


def test_a_collector_that_raises_costs_what_comes_after_it():
    """What came before is sent."""

    def families() -> Iterator[Metric]:
        yield from text_string_to_metric_families("# TYPE c gauge\nc 1\n")
        raise OSError

    metrics, lost = convert(families(), MOMENTS)
    assert ([metric.name for metric in metrics], lost) == (["c"], ["what follows (OSError)"])


def test_the_text_of_a_page_is_enough():
    """What is read back from a page has the same points as the registry that the page was made of."""
    registry = CollectorRegistry()
    Histogram("run_seconds", "Run.", buckets=(0.1, 1), registry=registry).observe(0.5)
    Counter("jobs", "Jobs.", registry=registry).inc()
    text = generate_latest(registry).decode()
    page, _ = convert(text_string_to_metric_families(text), MOMENTS)
    names = {metric.name: type(metric.data).__name__ for metric in page}
    assert names["run_seconds"] == "Histogram"
    assert names["jobs_total"] == "Sum"
