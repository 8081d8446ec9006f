"""Durations as flags and configuration files have them: Prometheus's and Go's notation, read and written."""

from __future__ import annotations

import re

from perfloop_base.visible import brief

# Seconds per unit. A year has 365 days and a week 7, as in Prometheus; ns and us come from Go.
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
    "y": 31_536_000.0,
}
# Prometheus counts nanoseconds in 64 bits: 292 years and some days.
_LONGEST_SECONDS = (2**63 - 1) / 1e9
_PART = re.compile(rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_SECONDS)})")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_WRITTEN = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `500ms`, `10s` or `1h30m`; `0` needs no unit.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    if text == "0":
        return 0.0
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{brief(text)} is not a duration: write numbers with units, such as 500ms, 10s, 5m or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{brief(text)} is too long: a duration is at most 292y, as in Prometheus")
    return seconds


def parse_positive_duration(text: str) -> float:
    """Return the seconds of a duration that is longer than zero.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"{brief(text)} is too short: the duration must be longer than zero")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration in PromQL's notation, such as `1m30s`, to the millisecond.

    Raises:
        ValueError: the number is negative, not a number, or longer than Prometheus can count.
    """
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError(f"{seconds} is not a length of time: it must be finite and not negative")
    rest = round(seconds * 1000)
    parts = []
    for unit, milliseconds in _WRITTEN:
        count, rest = divmod(rest, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
