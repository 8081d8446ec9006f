"""Labels of exemplars, which lead from a bucket to a request, within OpenMetrics's limit of 128 characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.names import label_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.metrics.series import Labels

# Names and values together: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#exemplars
_MAX_CHARACTERS = 128


def exemplar_labels(metadata: Mapping[str, Any]) -> Labels:
    """Return as many of the pairs as fit, in their order."""
    kept: dict[str, str] = {}
    remaining = _MAX_CHARACTERS
    for key, value in metadata.items():
        name, text = label_name(str(key)), str(value)
        size = len(name) + len(text)
        if size <= remaining and name not in kept:
            kept[name] = text
            remaining -= size
    return tuple(kept.items())


def trace_of(headers: Any) -> Labels:
    """Return trace_id and span_id of a request's W3C `traceparent` header; empty without one."""
    for name, value in headers:
        if name == b"traceparent":
            parts = value.decode("ascii", "replace").split("-")
            if len(parts) == 4 and len(parts[1]) == 32 and len(parts[2]) == 16:  # noqa: PLR2004 - the header's format
                return (("trace_id", parts[1]), ("span_id", parts[2]))
    return ()
