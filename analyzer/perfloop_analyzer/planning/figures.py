"""What planning publishes: a figure is one sample of a metric family, bounds are an estimate's three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Figure:
    """One sample; `name` is the family's without `perfloop_`, as `reporters.planned` declares it."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate with the interval that holds the true value with 90 % probability."""

    lower: float
    expected: float
    upper: float

    def times(self, factor: float) -> Bounds:
        """Return the estimate of so many times as much."""
        return Bounds(self.lower * factor, self.expected * factor, self.upper * factor)

    def as_dict(self) -> dict[str, float]:
        """The JSON form."""
        return {"lower": self.lower, "expected": self.expected, "upper": self.upper}

    def figures(self, name: str, labels: Mapping[str, str]) -> Iterator[Figure]:
        """Yield one figure for each bound, by the label `bound`."""
        for bound, value in self.as_dict().items():
            yield Figure(name, {**labels, "bound": bound}, value)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no estimate: one sentence without a full stop."""

    reason: str
