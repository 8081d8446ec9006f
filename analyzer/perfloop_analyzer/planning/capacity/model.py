"""The capacity of a service: the highest rate that keeps its objectives, and what limits it first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_analyzer.planning.figures import Bounds, Figure

if TYPE_CHECKING:
    from collections.abc import Iterator


class Curve(Protocol):
    """How long responses take at a rate."""

    def latency(self, rate: float) -> float:
        """Return the 95th percentile in seconds at so many requests per second and replica; infinite beyond all."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest rate that keeps the objectives, in requests per second.

    Attributes:
        rate: The rate now, of all replicas; None where there is none.
        per_replica: Of one replica.
        total: Of all replicas that run now.
        replicas: How many run.
        resource: What limits the rate first.
        source: Where the figure comes from: `load test` or `live traffic`.
        reach: How many times the highest rate that was seen the expected capacity is; 1 or less is no extrapolation.
        curve: The response time at a rate; None where it is not known.
        sentence: The whole in words, for people.
    """

    rate: float | None
    per_replica: Bounds
    total: Bounds
    replicas: int
    resource: str
    source: str
    reach: float
    curve: Curve | None
    sentence: str

    @property
    def headroom(self) -> float | None:
        """Return the expected capacity over the rate now; None without load."""
        return self.total.expected / self.rate if self.rate else None

    def latency_at(self, rate: float) -> float | None:
        """Return the 95th percentile in seconds at a rate per replica; None where it is not known."""
        return None if self.curve is None else self.curve.latency(rate)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "requests_per_second": self.total.as_dict(),
            "replica_requests_per_second": self.per_replica.as_dict(),
            "replicas": self.replicas,
            "headroom": self.headroom,
            "first_limit": self.resource,
            "source": self.source,
            "extrapolated": max(self.reach, 1.0),
            "words": self.sentence,
        }

    def figures(self, service: str) -> Iterator[Figure]:
        """Yield what is published of it."""
        yield from self.total.figures("capacity_requests_per_second", {"service": service})
        yield from self.per_replica.figures("replica_capacity_requests_per_second", {"service": service})
        yield Figure("capacity_limit_info", {"service": service, "resource": self.resource}, 1.0)
        if self.headroom is not None:
            yield Figure("headroom_ratio", {"service": service}, self.headroom)
