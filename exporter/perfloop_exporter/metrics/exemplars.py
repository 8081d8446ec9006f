"""Labels of exemplars, which lead from a bucket to a request, within OpenMetrics's limit of 128 characters."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.names import label_name
from perfloop_exporter.metrics.text import NAME_LIMIT, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.metrics.series import Labels

# Names and values together: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md#exemplars
_MAX_CHARACTERS = 128
# As many pairs are looked at as could fit: a name and a value of one character each.
_MAX_PAIRS = _MAX_CHARACTERS // 2
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


def exemplar_labels(metadata: Mapping[str, Any]) -> Labels:
    """Return as many of the pairs as fit, in their order; none of what is not a mapping. Never raises."""
    kept: dict[str, str] = {}
    remaining = _MAX_CHARACTERS
    for key, value in _pairs(metadata):
        name, text = label_name(text_of(key, NAME_LIMIT)), text_of(value)
        size = len(name) + len(text)
        if size <= remaining and name not in kept:
            kept[name] = text
            remaining -= size
    return tuple(kept.items())


def _pairs(metadata: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    try:
        return [(key, value) for key, value in islice(metadata.items(), _MAX_PAIRS)]
    except Exception:  # noqa: BLE001 - not a mapping, or changed by another thread meanwhile
        return []


def trace_of(headers: Any) -> Labels:
    """Return trace_id and span_id of a request's W3C `traceparent` header; empty without a valid one."""
    for name, value in headers:
        if name == b"traceparent":
            found = _TRACEPARENT.fullmatch(value)
            if found:
                return (("trace_id", found[1].decode()), ("span_id", found[2].decode()))
    return ()
