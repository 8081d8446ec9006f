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
# https://www.w3.org/TR/trace-context/#traceparent-header: small letters only, and no id of zeros. Version 00 ends with
# the flags, a later one may go on behind a dash, and ff is none.
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?"
)
# Longer than any version is: not even looked at.
_LONGEST_TRACEPARENT = 256
_SAMPLED = 1


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
    """Return trace_id and span_id of a request's W3C `traceparent` header; empty without a valid one.

    Also empty where the caller says that it does not record the trace: the ids would lead nowhere.
    """
    found = [value for name, value in headers if name == b"traceparent"]
    # Several are none: nobody can know which of them is meant.
    if len(found) != 1 or len(found[0]) > _LONGEST_TRACEPARENT:
        return ()
    parts = _TRACEPARENT.fullmatch(found[0])
    if parts is None or not int(parts[4], 16) & _SAMPLED or (parts[1] == b"00" and parts[5]):
        return ()
    return (("trace_id", parts[2].decode()), ("span_id", parts[3].decode()))
