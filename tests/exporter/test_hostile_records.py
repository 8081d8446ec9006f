"""Whatever an application records, its page stays valid, later metrics are on it, and nothing is raised."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, Counter

from perfloop_exporter.instrument import CacheMetrics, db_operation, instrument_httpx, llm_server_call
from perfloop_exporter.instrument.endpoint import MetricsEndpoint, ScrapeRequest, answer
from perfloop_exporter.instrument.http_metrics import HttpMetrics
from perfloop_exporter.instrument.llm import LLMMetrics, LLMTiming
from perfloop_exporter.instrument.middleware import MetricsMiddleware
from perfloop_exporter.instrument.workers import WorkerGroup
from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry
from perfloop_exporter.metrics.series import HistogramSeries
from perfloop_exporter.monitor import PerformanceMonitor

from .hostile import Raising, anything, check_page, mappings

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(
    st.lists(
        st.tuples(st.one_of(st.sampled_from(["m", "m_ms", "m_total"]), anything()), anything(), mappings(), mappings()),
        max_size=8,
    )
)
def test_records_of_anything(records: list[tuple[Any, Any, Any, Any]]):
    """A metric that is recorded after them is on the page."""
    registry = MetricRegistry()
    monitor = PerformanceMonitor(registry)
    for name, value, metadata, tags in records:
        monitor.record_metric(name, value, metadata, tags)
        with monitor.measure_time(name, metadata, tags):
            pass
        monitor.get_metric_stats(name)
    monitor.record_metric("last_total", 1)
    assert "\napp_last_total 1.0\n" in check_page(registry)


@pytest.mark.parametrize(
    "metadata",
    [{"a": Raising()}, {"\ud800": "\ud800"}, {"a": "x" * 1_000_000}, Raising(), 5, "text", [1]],
    ids=lambda value: type(value).__name__,
)
def test_metadata_costs_no_other_metric(metadata: Any):
    """Metrics that were created later are on the page, and the value itself is counted."""
    registry = MetricRegistry()
    monitor = PerformanceMonitor(registry)
    monitor.record_metric("first_ms", 5, metadata)
    monitor.record_metric("later_total", 1)
    text = check_page(registry)
    assert "\napp_later_total 1.0\n" in text
    assert "\napp_first_seconds_count 1.0\n" in text


def test_a_lone_surrogate_in_a_tag_is_replaced():
    """The value is shown with a replacement character."""
    registry = MetricRegistry()
    PerformanceMonitor(registry).record_metric("m", 1, tags={"user": "a\ud800b"})
    assert 'app_m{user="a\ufffdb"} 1.0\n' in check_page(registry)


def test_names_that_share_a_line_are_refused():
    """A histogram has `_count` and `_sum`: a second metric of that name would be on the page twice."""
    registry = MetricRegistry()
    monitor = PerformanceMonitor(registry)
    monitor.record_metric("work_ms", 1)
    monitor.record_metric("work_seconds_sum", 1)
    monitor.record_metric("jobs_total", 1)
    monitor.record_metric("jobs", 1)
    text = check_page(registry)
    assert "app_jobs_total 1.0\n" in text
    assert 'perfloop_dropped_records_total{reason="ValueError"} 2.0\n' in text


def test_a_label_without_a_value_is_none():
    """To Prometheus both are the same series, which must not be there twice."""
    registry = MetricRegistry()
    monitor = PerformanceMonitor(registry)
    monitor.record_metric("m_total", 1, tags={"a": ""})
    monitor.record_metric("m_total", 1)
    assert "\napp_m_total 2.0\n" in check_page(registry)


def test_a_declared_counter_ends_in_total():
    """OpenMetrics requires it: one without would spoil the page."""
    registry = MetricRegistry()
    monitor = PerformanceMonitor(registry)
    monitor.declare("jobs", kind="counter", description="Lone \ud800 surrogate.")
    monitor.record_metric("jobs", 2)
    assert "\napp_jobs_total 2.0\n" in check_page(registry)


@pytest.mark.parametrize("options", [{"kind": "summary"}, {"buckets": (math.nan,)}, {"buckets": (1.0, math.inf)}])
def test_a_declaration_that_cannot_be_exported_is_refused(options: Any):
    """The caller learns it at once; the page has the other metrics."""
    registry = MetricRegistry()
    with pytest.raises(ValueError, match="must be"):
        PerformanceMonitor(registry).declare("m", **options)
    check_page(registry)


def test_statistics_of_huge_values():
    """Their sum is beyond a float, their statistics are not an exception."""
    monitor = PerformanceMonitor(MetricRegistry())
    for _ in range(3):
        monitor.record_metric("m", 1.7e308)
    assert monitor.get_metric_stats("m").mean == pytest.approx(1.7e308)
    assert monitor.get_metric_stats("m").max == 1.7e308


@FEW
@given(anything(), anything(), anything(), mappings(), st.lists(st.tuples(anything(), anything()), max_size=3))
def test_requests_of_any_form(method: Any, path: Any, status: Any, exemplar: Any, headers: list[tuple[Any, Any]]):
    """The app gets and sends its messages unchanged, and the page is valid."""
    registry = MetricRegistry()
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": headers, "route": SimpleNamespace(path=path)}
    measured = MetricsMiddleware(app, HttpMetrics(registry), WorkerGroup(registry), exemplar=lambda _scope: exemplar)
    asyncio.run(measured(scope, None, send))  # type: ignore[arg-type]  # the app does not receive
    assert len(sent) == 2
    registry.counter("last_total", "Last.").labels().inc()
    assert "\nlast_total 1.0\n" in check_page(registry)


def _keep_small(registry: MetricRegistry) -> None:
    """Forget what earlier examples recorded, and keep one bucket: prometheus_client's parser reads 166 in seconds."""
    for family in list(registry._families.values()):
        family._children.clear()
        family._by_values.clear()
        if family.descriptor.kind == "histogram":
            family._make = partial(HistogramSeries, bounds=(1.0,))
            object.__setattr__(family.descriptor, "bounds", (1.0,))


@pytest.fixture
def _bounds_kept() -> Iterator[None]:
    kept = [(family, family._make, family.descriptor.bounds) for family in DEFAULT._families.values()]
    yield
    for family, make, bounds in kept:
        family._children.clear()
        family._by_values.clear()
        family._make = make  # type: ignore[assignment]
        object.__setattr__(family.descriptor, "bounds", bounds)


@pytest.mark.usefixtures("_bounds_kept")
@FEW
@given(anything(), anything(), anything(), anything())
def test_databases_caches_models_and_clients(one: Any, other: Any, number: Any, more: Any):
    """Each entry takes anything for its labels and numbers."""
    _keep_small(DEFAULT)
    with db_operation(one, other):
        pass
    cache = CacheMetrics(one)
    with cache.operation(other) as operation:
        operation.hit = number
    cache.count_reads(number, more)
    with llm_server_call(one) as call:
        call.token()
        call.finish(input_tokens=number, output_tokens=more)
    client = SimpleNamespace(send=lambda _request: SimpleNamespace(status_code=number))
    instrument_httpx(client)
    client.send(SimpleNamespace(method=one, url=SimpleNamespace(host=other)))
    check_page(DEFAULT)


def test_counters_are_not_spoiled_for_ever():
    """After an infinite number of tokens a counter goes on counting, and so does a histogram."""
    registry = MetricRegistry()
    metrics = LLMMetrics(registry, "server", "request")
    LLMTiming(metrics, "m").end(input_tokens=math.inf, output_tokens=3)  # type: ignore[arg-type]
    metrics.duration.labels("m").observe("soon")  # type: ignore[arg-type]
    metrics.duration.labels("m").observe(math.nan)
    metrics.duration.labels("m").observe(1)
    text = check_page(registry)
    assert 'gen_ai_server_token_usage_total{gen_ai_request_model="m",gen_ai_token_type="output"} 3.0\n' in text
    assert 'gen_ai_server_request_duration_seconds_count{gen_ai_request_model="m"} 2.0\n' in text


def test_a_bad_label_of_prometheus_client_costs_its_own_metric():
    """The application's other metrics of that registry stay on the page."""
    bad, good = Counter("hostile_bad", "Bad.", ["who"]), Counter("hostile_good", "Good.")
    try:
        bad.labels("\ud800").inc()
        good.inc()
        for accept in ("", "application/openmetrics-text"):
            body = answer(ScrapeRequest(accept=accept), [])[0].decode()
            assert "hostile_good_total 1.0\n" in body
            assert body.endswith("# EOF\n") == bool(accept)
    finally:
        REGISTRY.unregister(bad)
        REGISTRY.unregister(good)


@FEW
@given(
    st.one_of(st.none(), st.binary(max_size=20)),
    st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3),
)
def test_scrapes_of_any_query(query: bytes | None, headers: list[tuple[bytes, bytes]]):
    """A malformed scrape is answered like any other."""
    registry = MetricRegistry()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    endpoint = MetricsEndpoint(WorkerGroup(registry))
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": query, "headers": headers}
    asyncio.run(endpoint(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 200
