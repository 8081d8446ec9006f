"""Spans of the service by OTLP, when OpenTelemetry's variables name a place for them; metrics stay ours.

FastAPI (0.142 and later) makes a span of each request itself once there is a provider of tracers. Of requests whose
caller records no trace none is made, unless OTEL_TRACES_SAMPLER says otherwise: the load generator decides.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXPORTERS = "OTEL_TRACES_EXPORTER"
_SAMPLER = "OTEL_TRACES_SAMPLER"
_SERVICE = "demo"


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Return whether the variables name a place for spans, and do not turn them off."""
    exporters = {name.strip() for name in environment.get(_EXPORTERS, "").split(",") if name.strip()}
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or (exporters and "otlp" not in exporters):
        return False
    return any(environment.get(name, "").strip() for name in _ENDPOINTS)


def set_up(environment: Mapping[str, str]) -> Callable[[], None]:
    """Send spans from now on where the variables ask for it; return what ends it, with what is left to be sent.

    Raises:
        ConfigError: they do, and the library is not installed.
    """
    if not is_asked_for(environment):
        return _nothing
    if find_spec("opentelemetry.sdk") is None:
        raise ConfigError(
            f"spans by OTLP, which {' or '.join(_ENDPOINTS)} asks for: opentelemetry-sdk is not installed: "
            "`pip install 'perfloop[otel]'` installs it"
        )
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

    resource = Resource.create({"service.name": _SERVICE}).merge(OTELResourceDetector().detect())
    # None: the SDK reads the variable itself.
    sampler = None if environment.get(_SAMPLER, "").strip() else ParentBased(ALWAYS_OFF)
    provider = TracerProvider(sampler=sampler, resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def _nothing() -> None:
    """End nothing."""
