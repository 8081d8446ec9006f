"""The grammar of Prometheus's text formats: comments, label sets, numbers and exemplars.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics 1.0 specification.
Only what varies per line is here; who writes many lines caches what these functions return.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# UTF-8 has no lone surrogates, which Python makes of undecodable bytes; NUL is the end of a text for many readers.
_INVALID = re.compile("[\0\ud800-\udfff]")
# Go uses an exponent from seven digits before the point on.
_GO_EXPONENT_DIGITS = 6


def head(name: str, kind: str, text: str) -> str:
    """Return the HELP and TYPE lines of a family in the text format."""
    return comments(name, kind, text.replace("\\", r"\\").replace("\n", r"\n"))


def openmetrics_head(name: str, kind: str, text: str) -> str:
    """Return the HELP and TYPE lines in OpenMetrics: a counter's family has no `_total`, and quotes are escaped."""
    return comments(name.removesuffix("_total") if kind == "counter" else name, kind, escape(text))


def comments(name: str, kind: str, escaped: str) -> str:
    """Return the HELP and TYPE lines around a help text that is escaped already."""
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n"


def valid(text: str) -> str:
    """Return the text with U+FFFD for each character that a reader may not accept."""
    return text if text.isascii() and "\0" not in text else _INVALID.sub("\ufffd", text)


def escape(value: str) -> str:
    """Escape a label value."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def label_set(labels: Iterable[tuple[str, str]]) -> str:
    """Return the labels in braces, in the order given; empty where there are none."""
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def format_number(value: float) -> str:
    """Format a number as Go does, and with it Prometheus."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    dot = text.find(".")
    if value > 0 and dot > _GO_EXPONENT_DIGITS:
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    return text


def exemplar(labels: Iterable[tuple[str, str]], value: float, timestamp_seconds: float) -> str:
    """Return an exemplar as OpenMetrics appends it to a sample."""
    return f" # {label_set(labels) or '{}'} {format_number(value)} {timestamp_seconds}"
