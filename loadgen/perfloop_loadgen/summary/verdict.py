"""The verdict on a run, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perfloop_base.quantities import quantity

DIGITS = 4


class Verdict(StrEnum):
    """`invalid`: the generator, not the service, was the limit, or a gate had nothing to judge."""

    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate and the value that it measured; `passed` is None when there was no data."""

    text: str
    passed: bool | None
    value: float | None
    samples: int = 0
    unit: str = ""

    @property
    def measured(self) -> str:
        """Return the value as people read it."""
        return "no data" if self.value is None else quantity(self.value, self.unit, DIGITS)


@dataclass(frozen=True, slots=True)
class Generator:
    """The figures of the generator itself: CPU in cores, how late its event loop woke, how full its network was."""

    cpu_ratio: float = 0.0
    busiest_cpu_ratio: float = 0.0
    event_loop_lag_p99_seconds: float = 0.0
    workers: int = 1
    # Of the busiest second of the machine's network cards, as a share of their speed; 0 where that is not known.
    network_ratio: float = 0.0


def busier(one: Generator, other: Generator) -> Generator:
    """Return the worse of both in every respect."""
    return Generator(
        cpu_ratio=max(one.cpu_ratio, other.cpu_ratio),
        busiest_cpu_ratio=max(one.busiest_cpu_ratio, other.busiest_cpu_ratio),
        event_loop_lag_p99_seconds=max(one.event_loop_lag_p99_seconds, other.event_loop_lag_p99_seconds),
        workers=max(one.workers, other.workers),
        network_ratio=max(one.network_ratio, other.network_ratio),
    )
