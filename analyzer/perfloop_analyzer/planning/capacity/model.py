"""The capacity of a service: the highest rate that keeps its objectives, and what limits it first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from perfloop_analyzer.planning.figures import Bounds, Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

LOAD_TEST, LIVE_TRAFFIC = "load test", "live traffic"
State = Literal["met", "not met", "not shown"]


class Curve(Protocol):
    """How long responses take at a rate."""

    def latency(self, rate: float) -> float:
        """Return the 95th percentile in seconds at so many requests per second and replica; infinite beyond all."""


@dataclass(frozen=True, slots=True)
class ScaledCurve:
    """A curve whose rates are so many times as high: live traffic's, brought to what a load test found."""

    curve: Curve
    factor: float

    def latency(self, rate: float) -> float:
        """Return the 95th percentile in seconds at so many requests per second and replica."""
        return self.curve.latency(rate / self.factor)


@dataclass(frozen=True, slots=True)
class Objectives:
    """What a rate must keep; None where there is no limit.

    Attributes:
        p95_seconds: The 95th percentile of the response time, or of the first token of a language model.
        error_ratio: The share of requests that may fail.
    """

    p95_seconds: float | None
    error_ratio: float | None

    @property
    def words(self) -> str:
        """The objectives, for people."""
        p95 = [] if self.p95_seconds is None else [f"p95 within {self.p95_seconds:g} s"]
        return " and ".join(p95 + ([] if self.error_ratio is None else [f"errors within {self.error_ratio:.2%}"]))


@dataclass(frozen=True, slots=True)
class Goal:
    """A rate that the service shall be able to carry: whether it is shown that it can; the reason in `words`."""

    name: str
    target: float
    state: State
    words: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"goal": self.name, "requests_per_second": self.target, "state": self.state, "words": self.words}


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest rate that keeps the objectives, in requests per second.

    Attributes:
        rate: The rate now, of all replicas; None where there is none.
        per_replica: Of one replica; the upper bound is infinite where no rate broke an objective.
        total: Of all replicas that run now.
        replicas: How many run.
        resource: What limits the rate first; empty where it is not known.
        source: Where the figure comes from: LOAD_TEST or LIVE_TRAFFIC.
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

    @property
    def is_bounded(self) -> bool:
        """Whether a rate is known that is too high."""
        return math.isfinite(self.total.upper)

    def latency_at(self, rate: float) -> float | None:
        """Return the 95th percentile in seconds at a rate per replica; None where it is not known."""
        return None if self.curve is None else self.curve.latency(rate)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; an upper bound that is not known is null."""
        return {
            "requests_per_second": _finite(self.total),
            "replica_requests_per_second": _finite(self.per_replica),
            "replicas": self.replicas,
            "headroom": self.headroom,
            "first_limit": self.resource,
            "source": self.source,
            "extrapolated": max(self.reach, 1.0),
            "words": self.sentence,
        }

    def figures(self, service: str) -> Iterator[Figure]:
        """Yield what is published of it."""
        named = {
            "capacity_requests_per_second": self.total,
            "replica_capacity_requests_per_second": self.per_replica,
        }
        for name, bounds in named.items():
            yield from (one for one in bounds.figures(name, {"service": service}) if math.isfinite(one.value))
        if self.resource:
            yield Figure("capacity_limit_info", {"service": service, "resource": self.resource}, 1.0)
        if self.headroom is not None:
            yield Figure("headroom_ratio", {"service": service}, self.headroom)


def _finite(bounds: Bounds) -> dict[str, float | None]:
    return {bound: value if math.isfinite(value) else None for bound, value in bounds.as_dict().items()}
