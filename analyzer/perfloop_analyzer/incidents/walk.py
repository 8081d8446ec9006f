"""The walk from a symptom to its root: along the calls, in the symptom's own measure.

A caller waits for those it calls, so what slows a callee slows the caller, and what fails in a callee fails in the
caller: the walk follows the services that moved in the same measure (latency, or failures) as the symptom, starting at
the symptom's service, and a service is suspected as far as no callee explains its move. The root is the node that moved
without a callee that moved (Hardt et al., "The PetShop dataset", CLeaR 2024; the traversal of their section 4). A
service that is not measured is walked through: its callees stand for it.

How much a callee explains is the part of the caller's change, in the measure's own unit, that the callee's reaches: a
database that is 10 ms slower does not explain an API that is 2 s slower, however unusual 10 ms are for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

EXPLAINED = 1.0 / 3.0  # what stays of the suspicion of a candidate that another one explains
MOVED = 1.0  # deviation from which on a service counts as moved: 1.7 times its usual spread


@dataclass(frozen=True, slots=True)
class Movement:
    """How far one service's series of a measure moved for the worse.

    Attributes:
        component: The component that the series is measured of.
        title: The signal's name for people.
        deviation: The robust deviation, log1p of multiples of the spread (`robust_deviation`).
        change: The change of the level for the worse, in `unit`.
        value: The level now, in `unit`.
        expected: The level before, in `unit`.
        onset: Since when, in Unix seconds.
    """

    service: str
    component: str
    title: str
    unit: str
    deviation: float
    change: float
    value: float
    expected: float
    onset: float

    @property
    def moved(self) -> bool:
        """Whether the move is more than the series usually makes."""
        return self.deviation >= MOVED


Moves = Callable[[str], Movement | None]
Calls = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """A service on the walk: its movement, and the share of its suspicion that no callee explains, EXPLAINED to 1."""

    movement: Movement
    unexplained: float


def walk_calls(start: str, calls: Calls, moves: Moves) -> dict[str, Step]:
    """Return the services that are reached from a symptom's over services that moved, the symptom's among them.

    Args:
        start: The symptom's service.
        calls: The services that each service calls.
        moves: A service's movement in the symptom's measure; None where it is not measured.
    """
    known: dict[str, Movement | None] = {}

    def move(service: str) -> Movement | None:
        if service not in known:
            known[service] = moves(service)
        return known[service]

    steps: dict[str, Step] = {}
    waiting = [start]
    while waiting:
        service = waiting.pop()
        if service in steps or (movement := move(service)) is None:
            continue
        callees = [one for one in _measured_callees(service, calls, move) if one.moved and one.service != service]
        steps[service] = Step(movement, _unexplained(movement, callees))
        waiting += [one.service for one in callees]
    return steps


def _measured_callees(service: str, calls: Calls, move: Moves) -> Iterable[Movement]:
    """Yield the movements of a service's callees; of one that is not measured those of its own callees."""
    seen, waiting = {service}, list(calls.get(service, ()))
    while waiting:
        callee = waiting.pop()
        if callee in seen:
            continue
        seen.add(callee)
        if (movement := move(callee)) is not None:
            yield movement
        else:
            waiting += calls.get(callee, ())


def _unexplained(caller: Movement, callees: Iterable[Movement]) -> float:
    if not caller.change > 0:
        return 1.0
    most = max((min(1.0, one.change / caller.change) for one in callees), default=0.0)
    return 1.0 - (1.0 - EXPLAINED) * max(0.0, most)
