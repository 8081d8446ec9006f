"""The values of one metric that are still remembered: a ring that is bounded in points and in time."""

from __future__ import annotations

from array import array


class History:
    """At most `points` values, 16 bytes each, oldest overwritten first."""

    __slots__ = ("_next", "_points", "_times", "_values")

    def __init__(self, points: int) -> None:
        self._points = points
        self._times = array("d")
        self._values = array("d")
        self._next = 0

    def append(self, at_seconds: float, value: float) -> None:
        """Remember one value."""
        if len(self._values) < self._points:
            self._times.append(at_seconds)
            self._values.append(value)
            return
        self._times[self._next] = at_seconds
        self._values[self._next] = value
        self._next = (self._next + 1) % self._points

    def since(self, start_seconds: float) -> list[float]:
        """The values recorded at or after `start_seconds`, oldest first."""
        oldest = self._next
        times = self._times[oldest:] + self._times[:oldest]
        values = self._values[oldest:] + self._values[:oldest]
        return [value for at, value in zip(times, values, strict=True) if at >= start_seconds]
