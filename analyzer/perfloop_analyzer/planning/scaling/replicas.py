"""The answer of scaling for one service, and what explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.planning.figures import Figure
from perfloop_analyzer.planning.scaling import policy
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.planning.scaling.ahead import Ahead
    from perfloop_analyzer.planning.scaling.needs import Fleet
    from perfloop_analyzer.planning.scaling.policy import Decision
    from perfloop_base.scaling import ServiceScaling

REQUESTS, TOKENS = "requests", "tokens"
# What decided, for people.
WORDS = {
    "load": "for the load of the next minutes",
    "queue": "so that what waits is served too",
    "cache": "so that the key-value caches are not full",
    "cpu": "by the use of the CPU, since nothing better is known",
    policy.MIN: "the fewest that scaling.yml allows",
    policy.MAX: "the most that scaling.yml allows; more are needed",
    policy.IDLE: "since no request has come for long",
    policy.DOWN_WINDOW: "until fewer have been enough for long enough",
    policy.HELD: "as before, since data are missing",
}


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas a service should have.

    Attributes:
        desired: The answer.
        running: How many answer now; None where that is not known.
        ahead: The load now and of the next minutes, in `unit` per second; None where it is not known.
        unit: What loads are counted in: REQUESTS or TOKENS.
        fleet: What a replica carries; None where it is not known.
    """

    desired: int
    decision: Decision
    settings: ServiceScaling
    running: int | None = None
    ahead: Ahead | None = None
    unit: str = REQUESTS
    fleet: Fleet | None = None

    @property
    def words(self) -> str:
        """The whole in one sentence."""
        what = "1 replica" if self.desired == 1 else f"{self.desired} replicas"
        sentence = f"{what}, {WORDS[self.decision.reason]}"
        if self.ahead is not None:
            sentence += f": up to {self.ahead.upper:.3g} {self.unit}/s within {span(self.ahead.seconds)}"
            if self.fleet is not None:
                sentence += f", and one of {self.fleet.measured_at} carries {self.fleet.within:.3g}"
        return sentence

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        load = None if self.ahead is None else {"now": self.ahead.now, "ahead": self.ahead.upper}
        return {
            "desired": self.desired,
            "running": self.running,
            "reason": self.decision.reason,
            "needed": {need.reason: need.wanted for need in self.decision.needs},
            "min_replicas": self.settings.min_replicas,
            "max_replicas": self.settings.max_replicas,
            "load": load and {**load, "unit": self.unit, "seconds": self.ahead.seconds if self.ahead else None},
            "replica_carries": None if self.fleet is None else self.fleet.within,
            "words": self.words,
        }

    def figures(self, service: str) -> Iterator[Figure]:
        """Yield what is published of it."""
        own = {"service": service}
        yield Figure("desired_replicas", own, self.desired)
        for need in self.decision.needs:
            yield Figure("needed_replicas", {**own, "reason": need.reason}, need.wanted)
        yield Figure("replicas_limit", {**own, "limit": "min"}, self.settings.min_replicas)
        yield Figure("replicas_limit", {**own, "limit": "max"}, self.settings.max_replicas)
        if self.ahead is not None:
            yield Figure("load_ahead", {**own, "unit": self.unit}, self.ahead.upper)
