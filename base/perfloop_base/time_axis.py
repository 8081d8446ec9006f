"""Round moments for the axis of a plot over time, in UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 5, 10, 30, 100, 365)),
)


def moment_ticks(low: float, high: float, most: int = 7) -> list[tuple[float, str]]:
    """Return round moments between two, in Unix seconds, each as people write it.

    A moment has its seconds only where they differ, and the date where the axis begins and where a day does.

    Args:
        low: the first moment.
        high: the last moment.
        most: at most about so many are returned.
    """
    step = next((one for one in _STEPS if (high - low) / one <= most), math.ceil((high - low) / most / _DAY) * _DAY)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(number * step, _written(number * step, step)) for number in range(first, last + 1)]


def day_of(seconds: float) -> str:
    """Return the date of a moment in Unix seconds."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _written(seconds: float, step: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    if step >= _DAY:
        return f"{moment:%Y-%m-%d}"
    if seconds % _DAY == 0:
        return f"{moment:%m-%d %H:%M}"
    return f"{moment:%H:%M}" if step >= _MINUTE else f"{moment:%H:%M:%S}"
