"""Trace ids of W3C Trace Context, and where a trace store shows one."""

from __future__ import annotations

import re

# https://www.w3.org/TR/trace-context/#trace-id
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
PLACE = "{trace_id}"
"""What stands in a trace store's address for the id."""

URL_VARIABLE = "PERFLOOP_TRACES_URL"
"""The variable with a trace store's address."""


def is_trace_id(text: str) -> bool:
    """Return whether a text is the id of a trace: 32 hexadecimal digits, small, not all of them 0."""
    return _TRACE_ID.fullmatch(text) is not None


def trace_link(url: str, trace_id: str) -> str:
    """Return the address of a trace: the id in its place, else behind `/trace/`, where Jaeger has it.

    Args:
        url: the trace store's address; empty for none.
        trace_id: the id; what is none is never put into an address.

    Returns:
        The address, empty without a store that a browser can open, or without an id.
    """
    if not url.startswith(("http://", "https://")) or not is_trace_id(trace_id):
        return ""
    return url.replace(PLACE, trace_id) if PLACE in url else f"{url.rstrip('/')}/trace/{trace_id}"
