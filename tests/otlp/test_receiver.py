"""What OpenTelemetry's SDK sends to a real Prometheus is there under our names, whatever it is like."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.waiting import wait_for

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs `pip install 'perfloop[otel]'`")

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.metrics import Meter

    from tests.otlp.receiver import Receiver

pytestmark = pytest.mark.timeout(180)
SECONDS = (0.005, 0.05, 0.5, 1.0, 5.0)
NEW = {"http.request.method": "GET", "http.route": "/a", "http.response.status_code": 200}
OLD = {"http.method": "GET", "http.target": "/a", "http.status_code": 200}
EXPONENTIAL = (View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation()),)


class Sender:
    """An application with OpenTelemetry's SDK, which sends when it is asked to."""

    def __init__(
        self, receiver: Receiver, service: str, *, views: tuple[View, ...] = (), delta: bool = False, **resource: str
    ) -> None:
        kinds: dict[type, sdk.AggregationTemporality] = (
            dict.fromkeys((Counter, Histogram), sdk.AggregationTemporality.DELTA) if delta else {}
        )
        self.exporter = OTLPMetricExporter(
            endpoint=f"{receiver.endpoint}/v1/metrics", preferred_temporality=kinds or None
        )
        reader = sdk.PeriodicExportingMetricReader(self.exporter, float("inf"))
        named = {"service.name": service, "service.instance.id": "one"} if service else {}
        attributes = {**named, **{key.replace("_", "."): value for key, value in resource.items()}}
        self.provider = MeterProvider([reader], Resource.create(attributes), views=views)
        self.meter: Meter = self.provider.get_meter("test")

    def send(self) -> None:
        """Send what was recorded."""
        assert self.provider.force_flush()


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[Any]:
    """Make senders, which end with the test."""
    made: list[Sender] = []

    def make(service: str, **options: Any) -> Sender:
        made.append(Sender(receiver, service, **options))
        return made[-1]

    yield make
    for one in made:
        one.provider.shutdown()


def _buckets(receiver: Receiver, service: str, count: int) -> dict[float, float]:
    """Return the cumulative counts of a service's requests by bound, once all of them are there."""
    expression = f'sum by (le) (http_server_request_duration_seconds_bucket{{service="{service}"}})'
    found = wait_for(
        lambda: (values := receiver.values(expression, "le")).get("+Inf") == count and values, f"{service}'s buckets"
    )
    return {float(bound): number for bound, number in found.items()}


def _sum(receiver: Receiver, name: str, service: str) -> float:
    (found,) = wait_for(lambda: receiver.query(f'sum({name}{{service="{service}"}})'), f"{name} of {service}")
    return float(found["value"][1])


def test_the_present_convention_is_ours(receiver: Receiver, sender: Any) -> None:
    """Bounds as our own are written, the resource's labels, and one series whatever else an application attaches."""
    app = sender("present", host_name="machine-1")
    durations = app.meter.create_histogram(
        "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=SECONDS
    )
    for number in range(300):
        durations.record(0.03, {**NEW, "user.id": f"user-{number}"})
    durations.record(0.7, NEW)
    app.send()
    buckets = _buckets(receiver, "present", 301)
    assert {0.005: 0, 0.05: 300, 0.5: 300, 1.0: 301, 5.0: 301, float("inf"): 301} == buckets
    series = receiver.query('http_server_request_duration_seconds_bucket{service="present",le="1.0"}')
    assert [one["metric"] for one in series] == [
        {
            "__name__": "http_server_request_duration_seconds_bucket",
            "service": "present",
            "instance": "one",
            "host": "machine-1",
            "http_request_method": "GET",
            "http_route": "/a",
            "http_response_status_code": "200",
            "spelling": "http.server.request.duration_seconds",
            "le": "1.0",
        }
    ]
    assert _sum(receiver, "http_server_request_duration_seconds_sum", "present") == pytest.approx(300 * 0.03 + 0.7)


def test_milliseconds_become_seconds(receiver: Receiver, sender: Any) -> None:
    """The older convention: its default bounds, from 0 to 10,000 ms, and its sum."""
    app = sender("older")
    durations = app.meter.create_histogram("http.server.duration", "ms")
    for milliseconds in (3, 30, 300, 3000):
        durations.record(milliseconds, OLD)
    app.send()
    buckets = _buckets(receiver, "older", 4)
    assert [0, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, float("inf")] == sorted(
        buckets
    )
    assert [buckets[bound] for bound in (0, 0.005, 0.05, 0.5, 5)] == [0, 1, 2, 3, 4]
    assert _sum(receiver, "http_server_request_duration_seconds_sum", "older") == pytest.approx(3.333)


def test_both_conventions_of_one_process_count_once(receiver: Receiver, sender: Any) -> None:
    """As OTEL_SEMCONV_STABILITY_OPT_IN=http/dup sends them."""
    app = sender("twice")
    for name, unit, value, attributes in (
        ("http.server.request.duration", "s", 0.03, NEW),
        ("http.server.duration", "ms", 30, OLD),
    ):
        app.meter.create_histogram(name, unit).record(value, attributes)
    app.send()
    wait_for(lambda: _sum(receiver, "http_server_request_duration_seconds_count", "twice") == 1, "one request")
    time.sleep(3)
    assert receiver.values('http_server_request_duration_seconds_count{service="twice"}', "spelling") == {
        "http.server.request.duration_seconds": 1
    }


CONVENTIONS = {
    "seconds": ("http.server.request.duration", "s", 1.0, NEW),
    "milliseconds": ("http.server.duration", "ms", 1000.0, OLD),
}


@pytest.mark.parametrize("unit", CONVENTIONS)
def test_exponential_histograms_have_buckets(receiver: Receiver, sender: Any, unit: str) -> None:
    """Counts are exact at powers of the square root of 2, and do not fall when the SDK merges its buckets."""
    name, symbol, factor, attributes = CONVENTIONS[unit]
    service = f"exponential-{unit}"
    app = sender(service, views=EXPONENTIAL)
    durations = app.meter.create_histogram(name, symbol)
    for _ in range(10):
        durations.record(0.03 * factor, attributes)
    app.send()
    before = _buckets(receiver, service, 10)
    for seconds in (0.0001, 3.0, 30.0):  # a range for which the SDK takes wider buckets
        durations.record(seconds * factor, attributes)
    app.send()
    after = _buckets(receiver, service, 13)
    below = max(bound for bound in before if bound < 0.03)
    above = min(bound for bound in before if bound > 0.03)
    assert (before[below], before[above]) == (0, 10)
    assert above / below == pytest.approx(2**0.5, rel=1e-4)
    assert [after[below], after[above], after[float("inf")]] == [1, 11, 13]
    assert all(after[bound] >= before[bound] for bound in before)
    assert _sum(receiver, "http_server_request_duration_seconds_sum", service) == pytest.approx(33.3001)


def test_delta_temporality_is_added_up(receiver: Receiver, sender: Any) -> None:
    """Prometheus makes cumulative series of what an application sends as differences."""
    app = sender("delta", delta=True)
    durations = app.meter.create_histogram(
        "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=SECONDS
    )
    for count in (1, 2, 3):
        for _ in range(count):
            durations.record(0.03, NEW)
        app.send()
    assert _buckets(receiver, "delta", 6)[0.05] == 6


def test_a_service_without_a_name_is_there(receiver: Receiver, sender: Any) -> None:
    """Under the SDK's own name for it: it is seen, and seen to be unnamed."""
    app = sender("")
    app.meter.create_up_down_counter("http.server.active_requests", "{request}").add(2, NEW)
    app.send()
    found = wait_for(
        lambda: receiver.query('http_server_active_requests{service=~"unknown_service.*"}'), "the unnamed service"
    )
    assert [one["value"][1] for one in found] == ["2"]


def test_late_samples_are_taken(receiver: Receiver, sender: Any) -> None:
    """What a sender could not deliver for ten minutes is taken after what came since."""
    app = sender("late")
    now = time.time()
    for at, value in ((now, 100), (now - 600, 10)):
        nanoseconds = int(at * 1e9)
        point = sdk.NumberDataPoint({}, int((now - 3600) * 1e9), nanoseconds, value)
        total = sdk.Sum([point], sdk.AggregationTemporality.CUMULATIVE, is_monotonic=True)
        metric = sdk.Metric("cache.requests", "", "{request}", total)
        scope = sdk.ScopeMetrics(InstrumentationScope("test"), [metric], "")
        resource = Resource.create({"service.name": "late", "service.instance.id": "one"})
        data = sdk.MetricsData([sdk.ResourceMetrics(resource, [scope], "")])
        assert app.exporter.export(data) is sdk.MetricExportResult.SUCCESS
    late = '{__name__="cache.requests_total",job="late"}'
    assert [one["value"][1] for one in receiver.query(late, now - 590)] == ["10"]
    assert [one["value"][1] for one in receiver.query(late, now + 1)] == ["100"]


def test_databases_models_and_versions_are_ours(receiver: Receiver, sender: Any) -> None:
    """Statements, Redis as a cache, a pool as SQLAlchemy's instrumentation has it, tokens, the version that runs."""
    app = sender("whole", service_version="2.0.1")
    statements = app.meter.create_histogram("db.client.operation.duration", "s")
    statements.record(0.2, {"db.system.name": "postgresql", "db.operation.name": "SELECT"})
    statements.record(0.001, {"db.system": "redis", "db.operation": "GET"})
    pool = app.meter.create_up_down_counter("db.client.connections.usage", "connections")
    pool.add(3, {"pool.name": "main", "state": "used"})
    app.meter.create_histogram("gen_ai.client.token.usage", "{token}").record(
        7, {"gen_ai.request.model": "m", "gen_ai.token.type": "input"}
    )
    reads = app.meter.create_counter("cache.requests", "{request}")
    reads.add(4, {"cache": "memory"})
    app.send()
    expected = {
        'db_client_operation_duration_seconds_count{db_system_name="postgresql",db_operation_name="SELECT"': "1",
        'cache_operation_duration_seconds_count{cache="redis",operation="GET"': "1",
        'db_client_connection_count{pool="main",state="used"': "3",
        'gen_ai_server_token_usage_total{gen_ai_request_model="m",gen_ai_token_type="input"': "7",
        'cache_requests_total{cache="memory"': "4",
        'service_info{version="2.0.1"': "1",
    }
    for selected, value in expected.items():
        found = wait_for(lambda text=selected: receiver.query(f'{text},service="whole"}}'), selected)
        assert [one["value"][1] for one in found] == [value], selected


def test_no_rule_fails(receiver: Receiver) -> None:
    """Every rule can be evaluated on what came, and none records a series twice."""
    groups = httpx.get(f"{receiver.url}/api/v1/rules", timeout=30).json()["data"]["groups"]
    failed = {rule["name"]: rule.get("lastError") for group in groups for rule in group["rules"]}
    assert {name: error for name, error in failed.items() if error} == {}
