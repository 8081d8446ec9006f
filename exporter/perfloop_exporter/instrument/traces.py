"""Which trace is current: that of OpenTelemetry's span where the application makes spans, else the request's own.

OpenTelemetry is never imported here: an application that has not imported it has no span.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.failures import note_failure
from perfloop_exporter.instrument.waits import current_request
from perfloop_exporter.metrics.exemplars import trace_of
from perfloop_exporter.metrics.series import Exemplar

if TYPE_CHECKING:
    from perfloop_exporter.metrics.series import HistogramSeries, Labels

_TRACE_MODULE = "opentelemetry.trace"
# Shortest time between two exemplars of a series, unless one is slower: to extract a trace must not cost every call.
EXEMPLAR_SECONDS = 0.1


def current_span() -> Any:
    """Return the context of the span that is current; None where there is none, or nobody records it."""
    module = sys.modules.get(_TRACE_MODULE)
    if module is None:
        return None
    context = module.get_current_span().get_span_context()
    return context if context.is_valid and context.trace_flags.sampled else None


def labels_of_span(context: Any) -> Labels:
    """Return the ids of a span as an exemplar has them; empty without one."""
    if context is None:
        return ()
    return (("trace_id", f"{context.trace_id:032x}"), ("span_id", f"{context.span_id:016x}"))


def current_trace() -> Labels:
    """Return the ids of the current span, else those of the request that is served; empty where there are none."""
    labels = labels_of_span(current_span())
    if labels:
        return labels
    request = current_request.get()
    return () if request is None else trace_of(request.scope.get("headers", ()))


def observe(series: HistogramSeries, seconds: float) -> None:
    """Record a duration, with the current trace as its exemplar where the series has had none lately."""
    series.observe(seconds)
    if seconds <= series.linked_value and time.monotonic() < series.linked_until:
        return
    try:
        labels = current_trace()
        if labels:
            series.keep_exemplar(Exemplar(labels, seconds, round(time.time(), 3)))
            series.linked_value, series.linked_until = seconds, time.monotonic() + EXEMPLAR_SECONDS
    except Exception as error:  # noqa: BLE001 - the duration is recorded, and its caller must not fail
        note_failure(error)
