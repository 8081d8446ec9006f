"""OpenTelemetry's instrumentation in place of Perfloop's: metrics by OTLP, as others' applications send them.

FastAPI, SQLAlchemy and Redis are measured by OpenTelemetry's instrumentations for them. The latter two make spans, and
no metric of how long a statement takes: `SpanDurations` makes the conventional metric of these spans, as the
Collector's span metrics connector does where there is a Collector. What no instrumentation measures is measured by hand
under the conventions' names.

The SDK's variables hold: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_METRIC_EXPORT_INTERVAL, OTEL_SEMCONV_STABILITY_OPT_IN and the others of
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from perfloop_demo.service import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import redis
    from fastapi import FastAPI
    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.sdk.trace import ReadableSpan
    from sqlalchemy import Engine

# The stack's own receiver, and an interval of which several fit into the minute that its rates are of; the SDK's own is
# a minute.
ENDPOINT = "http://127.0.0.1:9090/api/v1/otlp"
EXPORT_MILLISECONDS = 5000
# The conventions' advice for durations: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/ and …/database/.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
DATABASE_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def set_up(instance: str, environment: Mapping[str, str]) -> OpenTelemetry:
    """Return the instrumentation, whose metrics are sent from now on; spans too, where the variables say where to.

    Args:
        instance: this process among others of the service, unless OTEL_RESOURCE_ATTRIBUTES names one.
        environment: the variables; what they leave out is the stack on this machine.
    """
    defaults = {"service.name": "demo", "service.instance.id": instance}
    resource = Resource.create(defaults).merge(OTELResourceDetector().detect())
    named = any(environment.get(name) for name in _ENDPOINT_VARIABLES)
    exporter = OTLPMetricExporter() if named else OTLPMetricExporter(endpoint=f"{ENDPOINT}/v1/metrics")
    interval = None if environment.get("OTEL_METRIC_EXPORT_INTERVAL") else EXPORT_MILLISECONDS
    meters = MeterProvider([PeriodicExportingMetricReader(exporter, interval)], resource)
    tracers = TracerProvider(resource=resource)
    if tracing.is_asked_for(environment):
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(meters, tracers)


class OpenTelemetry:
    """The instrumentation by OpenTelemetry's API and libraries alone."""

    def __init__(self, meters: MeterProvider, tracers: TracerProvider) -> None:
        self._meters = meters
        meter = meters.get_meter("perfloop_demo")
        statements = meter.create_histogram(
            "db.client.operation.duration", "s", explicit_bucket_boundaries_advisory=DATABASE_SECONDS
        )
        self._tracers = tracers
        self._tracers.add_span_processor(SpanDurations(statements))
        self._statements = statements
        self._model = ModelMetrics.create(meter)
        self._resizes = meter.create_histogram("image.resize", "s", explicit_bucket_boundaries_advisory=SECONDS)
        self._faults = meter.create_gauge("fault.setting")
        self._cache_reads = meter.create_counter("cache.requests", "{request}")
        self._cache_hits = meter.create_counter("cache.hits", "{request}")

    def watch_app(self, app: FastAPI) -> None:
        """Measure the requests of an application."""
        FastAPIInstrumentor.instrument_app(app, tracer_provider=self._tracers, meter_provider=self._meters)

    def watch_engine(self, engine: Engine) -> None:
        """Measure the statements and the pool of a database."""
        # Its check knows no SQLAlchemy from 2.1 on (0.66b2), with which it works; it would log that it does nothing.
        SQLAlchemyInstrumentor().instrument(
            engine=engine, tracer_provider=self._tracers, meter_provider=self._meters, skip_dep_check=True
        )

    def watch_redis(self, client: redis.Redis, cache: str) -> None:
        """Measure the commands of a client of Redis; its name for the cache is `redis`, as the conventions have it."""
        del cache
        RedisInstrumentor.instrument_client(client, tracer_provider=self._tracers)

    def measure_cache(self, cache: str) -> OpenTelemetryCache:
        """Return the measure of a cache in this process; there is no convention for one."""
        return OpenTelemetryCache(cache, self._cache_reads, self._cache_hits)

    @contextmanager
    def measure_vector_search(self) -> Iterator[None]:
        """Time a search for the nearest vectors."""
        with _timed(self._statements, {"db.system.name": "vector", "db.operation.name": "search"}):
            yield

    @contextmanager
    def measure_resize(self) -> Iterator[None]:
        """Time the resizing of a picture."""
        with _timed(self._resizes, {}):
            yield

    def measure_call(self, model: str) -> OpenTelemetryCall:
        """Begin to measure a call of the language model."""
        return OpenTelemetryCall(model, self._model)

    def show_fault(self, fault: str, value: float) -> None:
        """Show the value that a fault is set to."""
        self._faults.set(value, {"fault": fault})


@contextmanager
def _timed(histogram: Histogram, attributes: dict[str, str]) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    except BaseException as error:
        attributes = {**attributes, "error.type": type(error).__name__}
        raise
    finally:
        histogram.record(time.perf_counter() - start, attributes)


class SpanDurations(SpanProcessor):
    """Makes `db.client.operation.duration` of the spans of statements; attributes may have their old names."""

    def __init__(self, durations: Histogram) -> None:
        self._durations = durations

    def on_end(self, span: ReadableSpan) -> None:
        """Record a span that is a statement; one that only opens a connection has no text of a query."""
        attributes = span.attributes or {}
        system = attributes.get("db.system.name") or attributes.get("db.system")
        statement = attributes.get("db.query.text") or attributes.get("db.statement")
        if span.kind is not trace.SpanKind.CLIENT or not (system and statement and span.start_time and span.end_time):
            return
        # A span of SQLAlchemy is named "SELECT demo.db".
        recorded = {"db.system.name": str(system), "db.operation.name": span.name.partition(" ")[0]}
        if span.status.status_code is trace.StatusCode.ERROR:
            recorded["error.type"] = "error"
        self._durations.record((span.end_time - span.start_time) / 1e9, recorded)


class OpenTelemetryCache:
    """Reads and hits of one cache."""

    def __init__(self, cache: str, reads: metrics.Counter, hits: metrics.Counter) -> None:
        self._attributes = {"cache": cache}
        self._reads, self._hits = reads, hits
        hits.add(0, self._attributes)

    @contextmanager
    def operation(self, operation: str) -> Iterator[CacheOutcome]:
        """Count one operation, when it says how it ended."""
        del operation
        outcome = CacheOutcome()
        yield outcome
        if outcome.hit is not None:
            self._reads.add(1, self._attributes)
            self._hits.add(int(outcome.hit), self._attributes)


@dataclass(slots=True)
class CacheOutcome:
    """How a read of a cache ended."""

    hit: bool | None = None


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """The conventions' metrics of a model's server: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/."""

    duration: Histogram
    first_token: Histogram
    per_token: Histogram
    tokens: Histogram

    @classmethod
    def create(cls, meter: Meter) -> ModelMetrics:
        """Return the metrics of a meter."""

        def seconds(name: str) -> Histogram:
            return meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=SECONDS)

        return cls(
            seconds("gen_ai.server.request.duration"),
            seconds("gen_ai.server.time_to_first_token"),
            seconds("gen_ai.server.time_per_output_token"),
            meter.create_histogram("gen_ai.client.token.usage", "{token}"),
        )


class OpenTelemetryCall:
    """One call of the language model."""

    def __init__(self, model: str, measured: ModelMetrics) -> None:
        self._attributes = {"gen_ai.request.model": model, "gen_ai.operation.name": "chat"}
        self._metrics = measured
        self._start = time.perf_counter()
        self._first: float | None = None

    def token(self) -> None:
        """Note that a token was written."""
        if self._first is None:
            self._first = time.perf_counter()
            self._metrics.first_token.record(self._first - self._start, self._attributes)

    def finish(self, *, input_tokens: int, output_tokens: int) -> None:
        """Record the call."""
        now = time.perf_counter()
        self._metrics.duration.record(now - self._start, self._attributes)
        if self._first is not None and output_tokens > 1:
            self._metrics.per_token.record((now - self._first) / (output_tokens - 1), self._attributes)
        for kind, count in (("input", input_tokens), ("output", output_tokens)):
            self._metrics.tokens.record(count, {**self._attributes, "gen_ai.token.type": kind})


def from_environment(instance: str) -> OpenTelemetry:
    """Return the instrumentation that this process's variables ask for."""
    return set_up(instance, os.environ)
