"""Moments as a command line has them: a date, Unix seconds, or how long ago."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

from perfloop_base.durations import parse_duration
from perfloop_base.visible import brief

MOMENTS = "a date such as 2026-07-01 or 2026-07-01T12:00:00Z, Unix seconds, or how long ago, such as 7d; 0 is now"
_LATEST = 253_402_300_799.0  # the end of the year 9999


def parse_moment(text: str) -> float:
    """Return a moment in Unix seconds; a date without a time zone is in UTC.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    for read in (_unix_seconds, _date, _ago):
        try:
            moment = read(text)
        except ValueError:
            continue
        if math.isfinite(moment) and 0 <= moment <= _LATEST:
            return moment
    raise ValueError(f"{brief(text)} is not a moment: write {MOMENTS}")


def _unix_seconds(text: str) -> float:
    return float(text) or time.time()


def _date(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _ago(text: str) -> float:
    return time.time() - parse_duration(text)
