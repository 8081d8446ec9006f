"""The values of one metric that are still remembered, bounded in points and in time."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class History:
    """The newest `points` values; up to twice as many are held, 16 bytes each, so that trimming is rare."""

    __slots__ = ("_points", "_times", "_values")

    def __init__(self, points: int) -> None:
        self._points = points
        self._times = array("d")
        self._values = array("d")

    def extend(self, times: Iterable[float], values: Iterable[float]) -> None:
        """Remember values and when they were recorded, oldest first."""
        self._times.extend(times)
        self._values.extend(values)
        if len(self._values) > 2 * self._points:
            del self._times[: -self._points]
            del self._values[: -self._points]

    def since(self, start_seconds: float) -> list[float]:
        """The values recorded at or after `start_seconds`, oldest first."""
        pairs = zip(self._times[-self._points :], self._values[-self._points :], strict=True)
        return [value for at, value in pairs if at >= start_seconds]
