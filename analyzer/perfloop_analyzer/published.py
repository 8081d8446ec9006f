"""What the service publishes: the last good result, what it was computed from, and the analyzer's own cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from perfloop_analyzer.firing import Firing
from perfloop_analyzer.incidents import Topology
from perfloop_analyzer.lease import Alone
from perfloop_analyzer.planning.costs.bill import price_replicas
from perfloop_analyzer.store.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.lease import Post
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.series import Batch
    from perfloop_base.prices import Prices


class Pacing(Protocol):
    """How many queries run at once, of how many at most; `words` say why it is fewer, empty while it is not."""

    most: int

    @property
    def now(self) -> int:
        """How many may run at once now."""

    @property
    def words(self) -> str:
        """Why it is fewer."""


class FullPace:
    """The pace of a server that is never slow."""

    most = now = 0
    words = ""


LEAST_STALE_SECONDS = 60.0
CYCLES_UNTIL_STALE = 4  # of the configured interval, where that is longer


@dataclass(slots=True)
class Costs:
    """Counters since the start, and the figures of the last cycle. Times are in seconds, moments in Unix seconds."""

    cycles: dict[str, int] = field(default_factory=lambda: {"complete": 0, "partial": 0, "failed": 0, "shed": 0})
    queries: int = 0
    query_failures: int = 0
    samples: int = 0
    cycle_seconds: float = 0.0
    query_seconds: float = 0.0
    clock_skew: float = 0.0
    cpu_seconds: float = 0.0
    refused_texts: int = 0
    store_failures: int = 0
    last_success: float = 0.0
    reload_succeeded: bool = True
    last_reload_success: float = 0.0


@dataclass(slots=True)
class ReportHealth:
    """What becomes of scheduled reports, by name; moments in Unix seconds, 0 before the first."""

    due: dict[str, float] = field(default_factory=dict)
    last_success: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def follow(self, names: Iterable[str]) -> None:
        """Know the reports of these names, and no others."""
        known = list(names)
        self.due = {name: self.due.get(name, 0.0) for name in known}
        self.last_success = {name: self.last_success.get(name, 0.0) for name in known}
        self.failures = {name: self.failures.get(name, 0) for name in known}

    def owe(self, name: str, due: float) -> None:
        """Note when a report that is owed was due; while an older one is owed, that one counts."""
        if not self.due.get(name, 0.0) > self.last_success.get(name, 0.0):
            self.due[name] = due

    def succeed(self, name: str, at: float) -> None:
        """Note that a report was sent: nothing is owed then, also where the clock was ahead before."""
        self.last_success[name] = at
        self.due[name] = min(at, self.due.get(name, 0.0))
        self.problems.pop(name, None)

    def fail(self, name: str, problem: str) -> None:
        """Note that an attempt failed."""
        self.failures[name] = self.failures.get(name, 0) + 1
        self.problems[name] = problem


@dataclass(slots=True)
class Published:
    """What the server and the report read; the loop writes it after every cycle.

    Attributes:
        result: The last good result; None before the first.
        made: When it was made, on the monotonic clock, which no change of the machine's time moves; None if unknown.
        stale_after: The age in seconds from which on it no longer describes the present.
        catalog: The signals with the limits that are in use.
        topology: The calls between services that the file gives.
        error: Why the newest cycle failed; empty while it did not.
        configuration_problem: Why changed configuration files are not in use; empty while they are.
        keeper: What happened to the database.
        firing: The alerts that fire, as of the newest cycle that could query Prometheus.
        reports: What became of scheduled reports.
        prices: What resources cost; None where nobody gave prices.
        post: Whether this analyzer is the one of its database that publishes.
        pace: How many questions Prometheus gets at a time, and why not more.
        spread_problem: Why the cluster that was to look through the series does not; empty where it does.
    """

    result: Result | None = None
    made: float | None = None
    stale_after: float = LEAST_STALE_SECONDS
    batches: Mapping[str, Batch] = field(default_factory=dict)
    catalog: Sequence[Signal] = ()
    topology: Topology = field(default_factory=Topology)
    costs: Costs = field(default_factory=Costs)
    error: str = ""
    configuration_problem: str = ""
    keeper: Keeper = field(default_factory=Keeper)
    firing: Firing = field(default_factory=Firing)
    reports: ReportHealth = field(default_factory=ReportHealth)
    prices: Prices | None = None
    post: Post = field(default_factory=Alone)
    pace: Pacing = field(default_factory=FullPace)
    spread_problem: str = ""

    @property
    def current(self) -> Result | None:
        """The last good result, where this analyzer may publish it now."""
        return self.result if self.post.is_leader else None

    @property
    def prices_of_recommendations(self) -> Prices | None:
        """The prices by which recommendations are worth what they are; None where nobody gave prices."""
        return self.prices and price_replicas(self.prices, self.result.plan.bill if self.result else None)

    def publish(self, result: Result) -> None:
        """Make a result the newest one."""
        self.made = time.monotonic()
        self.result = result

    def withdraw(self) -> None:
        """Publish no result any more: another analyzer does."""
        self.result, self.made, self.error, self.batches, self.firing = None, None, "", {}, Firing()

    def age(self, at: float) -> float:
        """Return how old the result is in seconds, never negative; `at` is now in Unix seconds."""
        if self.made is not None:
            return time.monotonic() - self.made
        return max(0.0, at - self.result.at) if self.result else 0.0

    @property
    def is_stale(self) -> bool:
        """Whether the newest result is too old to describe the present."""
        return self.made is not None and time.monotonic() - self.made > self.stale_after
