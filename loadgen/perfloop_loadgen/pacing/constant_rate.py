"""Evenly spaced requests."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """The k-th request is due at k / rate: computed from k, so that no error adds up."""

    rate: float
    duration_seconds: float | None

    def rate_at(self, elapsed_seconds: float) -> float:  # noqa: ARG002 - the protocol of every rate shape
        """Return the rate."""
        return self.rate

    def starts(self) -> Iterator[float]:
        """Yield the seconds at which requests are due."""
        for number in count():
            due = number / self.rate
            if self.duration_seconds is not None and due >= self.duration_seconds:
                return
            yield due

    def phase_at(self, elapsed_seconds: float) -> str:  # noqa: ARG002 - the protocol of every rate shape
        """Name the only part."""
        return "steady"
