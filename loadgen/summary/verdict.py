"""What a run comes to: passed, failed, or invalid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`invalid`: the generator, not the service, was the limit, or a gate had nothing to judge."""

    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate and what it saw; `passed` is None when there was no data."""

    text: str
    passed: bool | None
    value: float | None
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Generator:
    """How the generator itself fared."""

    cpu_ratio: float = 0.0
    busiest_cpu_ratio: float = 0.0
    event_loop_lag_p99_seconds: float = 0.0
    workers: int = 1
