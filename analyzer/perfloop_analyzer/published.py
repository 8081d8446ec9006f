"""What the service publishes: the last good result, what it was computed from, and the analyzer's own cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.series import Batch


@dataclass(slots=True)
class Costs:
    """Counters since the start, and the figures of the last cycle. Times are in seconds, moments in Unix seconds."""

    cycles: dict[str, int] = field(default_factory=lambda: {"complete": 0, "partial": 0, "failed": 0, "shed": 0})
    queries: int = 0
    query_failures: int = 0
    samples: int = 0
    cycle_seconds: float = 0.0
    query_seconds: float = 0.0
    cpu_seconds: float = 0.0
    refused_texts: int = 0
    store_failures: int = 0
    last_success: float = 0.0
    reload_succeeded: bool = True
    last_reload_success: float = 0.0


@dataclass(slots=True)
class Published:
    """What the server and the report read; the loop writes it after every cycle.

    Attributes:
        result: The last good result; None before the first.
        catalog: The signals with the limits that are in use.
        error: Why the newest cycle failed; empty while it did not.
        configuration_problem: Why changed configuration files are not in use; empty while they are.
    """

    result: Result | None = None
    batches: Mapping[str, Batch] = field(default_factory=dict)
    catalog: Sequence[Signal] = ()
    costs: Costs = field(default_factory=Costs)
    error: str = ""
    configuration_problem: str = ""
