"""Where the other programs of the stack answer, as a person's browser reaches them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop_base.redaction import redact_url, register_url
from perfloop_base.traces import parse_store_url
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Where traces are kept: no program of the stack, and nothing is linked to where its address is empty.
TRACES = "traces"
# What pages and boards can lead to; a label of perfloop_link_info has no other value.
PROGRAMS = ("alertmanager", "analyzer", "demo", "exporter", "grafana", "inbox", "loadgen", "prometheus", TRACES)
_LONGEST_URL = 500
# The characters of RFC 3986: what else stands in a host or path is percent-encoded, or punycode.
_URL = re.compile(r"https?://[A-Za-z0-9\-._~:/@!$&'()*+,;=%\[\]]+")


def parse_link(text: str) -> tuple[str, str]:
    """Return program and URL of `PROGRAM=URL`; the URL has no slash at its end, so that a path can follow.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    program, equals, url = text.partition("=")
    if not equals or program not in PROGRAMS:
        raise ValueError(
            f"{brief(redact_url(text))} is no link: write PROGRAM=URL, PROGRAM one of {', '.join(PROGRAMS)}"
        )
    if program == TRACES:
        return program, parse_store_url(url)
    register_url(url)
    shown = brief(redact_url(url))
    if len(url) > _LONGEST_URL or not _URL.fullmatch(url):
        raise ValueError(f"{shown} is no URL to link to: write http:// or https://, a host and a path, in ASCII")
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(f"{shown} is no URL to link to: its host or port is missing or wrong")
    if "@" in parts.netloc:
        raise ValueError(f"{shown} has a user or a password: everybody who sees a page or a metric could read it")
    return program, url.rstrip("/")


def by_program(links: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return the URLs by program; of several for one program the last one counts, as with any flag."""
    return {program: url for program, url in sorted(dict(links).items()) if url}
