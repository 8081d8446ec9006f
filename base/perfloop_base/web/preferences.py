"""What a client accepts: the Accept and Accept-Encoding headers, with their weights (RFC 9110, section 12.5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

OPENMETRICS_TYPE = "application/openmetrics-text"
# Versions of the text format of OpenMetrics that a page without a version, or of version 1.0.0, is valid in.
_OPENMETRICS_VERSIONS = ("", "0.0.1", "1.0.0")
# A quoted string may hold the separators.
_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+')
_PARAMETER = re.compile(r';\s*([^=;\s]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;]*))?')
_WEIGHT = re.compile(r"0(\.[0-9]*)?|1(\.0*)?")


class Preference(NamedTuple):
    """One part of such a header.

    Attributes:
        name: In lower case, such as `gzip` or `text/plain`; `*` and `*/*` stand for what is not named.
        weight: 0 for what is refused, 1 for what is preferred most.
        version: The parameter of that name, empty without one.
    """

    name: str
    weight: float
    version: str = ""


@lru_cache(maxsize=64)
def parse_preferences(header: str) -> tuple[Preference, ...]:
    """Return the parts of a header; one whose weight is no number from 0 to 1 has the weight 0."""
    found = []
    for part in _PART.findall(header):
        name, separator, rest = part.strip().partition(";")
        parameters = {key.lower(): value.strip().strip('"') for key, value in _PARAMETER.findall(separator + rest)}
        if name.strip():
            weight = _weight(parameters.get("q", "1"))
            found.append(Preference(name.strip().lower(), weight, parameters.get("version", "")))
    return tuple(found)


def _weight(text: str) -> float:
    return float(text) if _WEIGHT.fullmatch(text) else 0.0


def accepts_gzip(header: str) -> bool:
    """Return whether a response may be compressed: gzip is accepted, and not less than none at all."""
    weights = {one.name: one.weight for one in parse_preferences(header)}
    gzip = max((weights[name] for name in ("gzip", "x-gzip") if name in weights), default=weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def prefers_openmetrics(header: str) -> bool:
    """Return whether OpenMetrics is named, in a version that is written, and is not refused or behind plain text.

    A browser accepts `*/*`, which is no wish for OpenMetrics, unless it refuses plain text.
    """
    parts = parse_preferences(header)
    named = [one.weight for one in parts if one.name == OPENMETRICS_TYPE and one.version in _OPENMETRICS_VERSIONS]
    text = _best(parts, "text/plain", "text/*", "*/*")
    if named:
        return max(named) > 0 and max(named) >= text
    refuses_text = any(one.name == "text/plain" for one in parts) and text == 0
    refused = any(one.name == OPENMETRICS_TYPE for one in parts)
    return refuses_text and not refused and _best(parts, "application/*", "*/*") > 0


def _best(parts: tuple[Preference, ...], *names: str) -> float:
    """Return the weight of the first of these names that is there, the most specific one: RFC 9110, section 12.5.1."""
    for name in names:
        weights = [one.weight for one in parts if one.name == name]
        if weights:
            return max(weights)
    return 0.0
