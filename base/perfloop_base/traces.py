"""Trace ids of W3C Trace Context, and where a trace store shows one."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from perfloop_base.addresses import is_http_url
from perfloop_base.redaction import redact_url, register_url
from perfloop_base.visible import brief

# https://www.w3.org/TR/trace-context/#trace-id
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
PLACE = "{trace_id}"
"""What a trace store's address has in the place of the id."""

URL_VARIABLE = "PERFLOOP_TRACES_URL"
"""The variable with a trace store's address."""

_LONGEST_URL = 1000
# The characters of RFC 3986: what else there is to say is percent-encoded.
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/@!$&'()*+,;=%?\[\]]+")


def parse_store_url(text: str) -> str:
    """Return a trace store's address as a browser reaches it, with a place for the id or without; empty for none.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    url = text.strip()
    if not url:
        return ""
    register_url(url)
    shown = brief(redact_url(url))
    plain = url.replace(PLACE, "0")
    if not is_http_url(plain) or len(url) > _LONGEST_URL or not _URL.fullmatch(plain):
        raise ValueError(
            f"{shown} is no address of a trace store: write http:// or https://, a host and a path, in ASCII; "
            f"{PLACE} stands where the id belongs, else /trace/ID follows"
        )
    parts = urlsplit(plain)
    if "@" in parts.netloc:
        raise ValueError(f"{shown} has a user or a password: everybody who sees a page could read it")
    if PLACE not in url and parts.query:
        raise ValueError(f"{shown} has a query and no {PLACE}: write it where the id belongs")
    return url if PLACE in url else url.rstrip("/")


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
