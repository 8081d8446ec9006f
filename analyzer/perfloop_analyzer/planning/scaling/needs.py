"""How many replicas each reason asks for: the load ahead, requests that wait, the model's cache, and the CPU.

- Load: the fewest replicas with which the response time stays within its limit. One measurement says what a fleet of
  n0 replicas carries within the limit, another at what rate it is full. The spare capacity that keeps waiting as short
  grows with the square root of the load (Halfin and Whitt, "Heavy-traffic limits for queues with many exponential
  servers", 1981): (load + beta sqrt(load)) / (rate of a full replica) replicas, beta from the measurement. Where it is
  not known when a replica is full, the rate per replica of the measurement holds for every number of them.
- Queue: what waits is served within `drain` seconds beside what comes. Without a measured capacity: as many replicas
  more as hold the requests that wait, as KEDA's examples for vLLM have it.
- Cache: the key-value cache of a model server holds the requests under way; beyond CACHE_TARGET it evicts them.
- CPU: the Horizontal Pod Autoscaler's ratio, only where nothing else is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_TARGET = 0.8  # below the 0.9 at which LlmKvCachePressure warns
CPU_TARGET = 0.7  # the usual target of the Horizontal Pod Autoscaler
ROUNDING = 1e-9  # of a quotient that is a whole number but for the representation


@dataclass(frozen=True, slots=True)
class Fleet:
    """What replicas were measured to carry, in one unit of load (requests or tokens per second).

    Attributes:
        within: The load of one replica within the objectives, above 0, measured while `measured_at` replicas ran.
        full: The load at which one replica is full; None where that is not known.
    """

    within: float
    full: float | None = None
    measured_at: int = 1

    def fewest(self, load: float) -> int:
        """Return the fewest replicas that carry a load within the objectives; 0 without load."""
        if load <= 0:
            return 0
        if self.full is None or self.full <= self.within:
            return max(1, math.ceil(load / self.within - ROUNDING))
        measured = self.within * self.measured_at
        spare = (self.full * self.measured_at - measured) * math.sqrt(load / measured)
        return max(1, math.ceil((load + spare) / self.full - ROUNDING))


@dataclass(frozen=True, slots=True)
class Demand:
    """What is known of a service at a moment; None is what is not.

    Attributes:
        load: The highest load of the next minutes, in the fleet's unit.
        now: The load now, in the same unit; 0 where nothing comes.
        waiting: Requests that wait in line.
        running: Requests that are being served.
        request: How much load one request a second is, in the fleet's unit.
        cache_used: Share of the model servers' key-value caches that is in use, on average.
        cores_used: CPU cores that all replicas use.
        cores_each: CPU cores that one replica has.
        replicas: Replicas that answer.
    """

    load: float | None = None
    now: float | None = None
    waiting: float | None = None
    running: float | None = None
    request: float = 1.0
    cache_used: float | None = None
    cores_used: float | None = None
    cores_each: float | None = None
    replicas: int | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is known that nothing comes and nothing waits."""
        return self.now == 0 and not self.waiting and not self.running


@dataclass(frozen=True, slots=True)
class Need:
    """The replicas that one reason asks for; `ample` is with the tolerance: so few must be enough to have fewer."""

    reason: str
    wanted: int
    ample: int


def find_needs(demand: Demand, fleet: Fleet | None, drain: float, tolerance: float) -> tuple[Need, ...]:
    """Return what each reason asks for; empty where nothing says how many replicas are needed.

    Args:
        demand: What is known of the service.
        fleet: What its replicas carry; None where that is not known.
        drain: Seconds in which requests that wait shall be served.
        tolerance: The share by which the need must fall before it counts as lower.
    """
    found = [*_of_load(demand, fleet, drain), *_of_cache(demand)]
    if not found:
        found = [*_of_line(demand), *_of_cpu(demand)]
    more = 1.0 + tolerance
    return tuple(Need(reason, wanted(1.0), max(wanted(1.0), wanted(more))) for reason, wanted in found)


class _Carried:
    """The replicas for a load, times a factor."""

    def __init__(self, fleet: Fleet, load: float) -> None:
        self._fleet, self._load = fleet, load

    def __call__(self, factor: float) -> int:
        return self._fleet.fewest(self._load * factor)


class _Shared:
    """The replicas for a use that so many replicas share, each up to `target`, times a factor."""

    def __init__(self, used: float, target: float) -> None:
        self._replicas = used / target

    def __call__(self, factor: float) -> int:
        return math.ceil(self._replicas * factor - ROUNDING)


_Found = tuple[str, "_Carried | _Shared"]


def _of_load(demand: Demand, fleet: Fleet | None, drain: float) -> Iterator[_Found]:
    if fleet is None or demand.load is None:
        return
    yield "load", _Carried(fleet, demand.load)
    if demand.waiting is not None:
        yield "queue", _Carried(fleet, demand.load + demand.waiting * demand.request / drain)


def _of_cache(demand: Demand) -> Iterator[_Found]:
    if demand.cache_used is not None and demand.replicas:
        yield "cache", _Shared(demand.cache_used * demand.replicas, CACHE_TARGET)


def _of_line(demand: Demand) -> Iterator[_Found]:
    if demand.waiting is None or not demand.replicas or not demand.running:
        return
    each = max(demand.running / demand.replicas, 1.0)
    yield "queue", _Shared(demand.replicas + demand.waiting / each, 1.0)


def _of_cpu(demand: Demand) -> Iterator[_Found]:
    if demand.cores_used is not None and demand.cores_each:
        yield "cpu", _Shared(demand.cores_used / demand.cores_each, CPU_TARGET)
