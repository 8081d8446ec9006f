"""A fleet of replicas, simulated request by request: one line in front of all, replicas that take time to start.

Every free slot of a ready replica serves the request that has waited longest. A replica is paid for from the moment it
is asked for until it is given up; what it serves then is served to its end. Autoscalers see the fleet as monitoring
shows it: rates and use over the last WINDOW seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscaling_loads import Floats, Load

TICK = 15.0  # seconds between two decisions, the HPA's sync period
WINDOW = 30.0  # seconds of rates and uses
WORK_WINDOW = 600.0  # seconds whose requests say how long one is served
LATE = 0.05  # share of the requests of a minute that may wait beyond the limit
JUDGED, JUDGED_EVERY = 60.0, 10.0  # the minutes whose 95th percentile is compared with the limit


class Observation(NamedTuple):
    """What monitoring shows at a moment.

    Attributes:
        rate: Requests per second over the last WINDOW.
        work: Seconds that a request was served, on average over WORK_WINDOW.
        use: Share of the ready replicas' slots that were busy over the last WINDOW.
        waiting: Requests in line.
        running: Requests that are served.
        ready, starting: Replicas.
    """

    at: float
    rate: float
    work: float
    use: float
    waiting: int
    running: int
    ready: int
    starting: int


class Outcome(NamedTuple):
    """What an autoscaler brought: the share of time outside the limit, replica-hours, and changes of the number."""

    violated: float
    hours: float
    slow: float
    changes: float


@dataclass(slots=True)
class Fleet:
    """The state of the simulation at `now`."""

    load: Load
    ready: int
    now: float = 0.0
    next: int = 0
    starting: list[float] = field(default_factory=list)
    line: deque[int] = field(default_factory=deque)
    serving: list[float] = field(default_factory=list)
    waits: Floats = field(default_factory=lambda: np.empty(0))
    busy_seconds: float = 0.0
    ended: int = 0
    ended_work: float = 0.0
    paid: float = 0.0

    def __post_init__(self) -> None:
        """Begin with no waits; who is never served has waited for ever."""
        self.waits = np.full(len(self.load.arrivals), np.inf)

    @property
    def replicas(self) -> int:
        """What is paid for."""
        return self.ready + len(self.starting)

    def advance(self, until: float) -> None:
        """Let time pass."""
        arrivals = self.load.arrivals
        while True:
            arrival = arrivals[self.next] if self.next < len(arrivals) else np.inf
            end = self.serving[0] if self.serving else np.inf
            start = self.starting[0] if self.starting else np.inf
            moment = min(arrival, end, start)
            if moment > until:
                break
            self._pass(moment)
            if moment == end:
                heapq.heappop(self.serving)
            elif moment == start:
                heapq.heappop(self.starting)
                self.ready += 1
            else:
                self.line.append(self.next)
                self.next += 1
            self._serve()
        self._pass(until)

    def scale(self, wanted: int, delay: Callable[[], float]) -> None:
        """Start replicas, or give up those that start and then those that are ready."""
        while self.replicas < wanted:
            heapq.heappush(self.starting, self.now + delay())
        surplus = self.replicas - wanted
        if surplus > 0:
            kept = sorted(self.starting)[: max(len(self.starting) - surplus, 0)]
            self.ready -= surplus - (len(self.starting) - len(kept))
            self.starting = kept

    def _pass(self, moment: float) -> None:
        seconds = moment - self.now
        self.busy_seconds += min(len(self.serving), self.ready * self.load.slots) * seconds
        if moment > self.load.warm:
            self.paid += self.replicas * min(seconds, moment - self.load.warm)
        self.now = moment

    def _serve(self) -> None:
        free = self.ready * self.load.slots - len(self.serving)
        while free > 0 and self.line:
            number = self.line.popleft()
            self.waits[number] = self.now - self.load.arrivals[number]
            work = self.load.work[number]
            heapq.heappush(self.serving, self.now + work)
            self.ended += 1
            self.ended_work += work
            free -= 1


@dataclass(slots=True)
class Monitor:
    """Remembers the counters of the last minutes, as Prometheus does."""

    past: deque[tuple[float, int, float, float, int, float]] = field(default_factory=deque)

    def observe(self, fleet: Fleet) -> Observation:
        """Return what is seen now; call it at every tick."""
        counters = (fleet.now, fleet.next, fleet.busy_seconds, float(fleet.ready), fleet.ended, fleet.ended_work)
        self.past.append(counters)
        while self.past[0][0] < fleet.now - WORK_WINDOW:
            self.past.popleft()
        recent = [one for one in self.past if one[0] >= fleet.now - WINDOW - 1e-6]
        first, oldest = recent[0], self.past[0]
        seconds = max(fleet.now - first[0], 1e-9)
        slots = max(np.mean([one[3] for one in recent]) * fleet.load.slots, 1e-9)
        served = fleet.ended - oldest[4]
        return Observation(
            at=fleet.now,
            rate=(fleet.next - first[1]) / seconds,
            work=(fleet.ended_work - oldest[5]) / served if served else float("nan"),
            use=min((fleet.busy_seconds - first[2]) / seconds / slots, 1.0),
            waiting=len(fleet.line),
            running=len(fleet.serving),
            ready=fleet.ready,
            starting=len(fleet.starting),
        )


def simulate(
    load: Load, autoscaler: Callable[[Observation], int], startup: tuple[float, float], *, delay: float, seed: int
) -> Outcome:
    """Return what an autoscaler brings for a load.

    Args:
        load: The requests.
        autoscaler: Says at every tick how many replicas there shall be.
        startup: The shortest and the longest time that a replica takes to start, in seconds; each takes its own.
        delay: Seconds until what happens is seen, a multiple of TICK.
        seed: Of the start-up times.
    """
    rng = np.random.default_rng(seed)
    fleet, monitor = Fleet(load, ready=at_first(load)), Monitor()
    seen: deque[Observation] = deque(maxlen=round(delay / TICK) + 1)
    changes = 0
    for at in np.arange(TICK, load.end + TICK, TICK):
        fleet.advance(float(at))
        seen.append(monitor.observe(fleet))
        # The number of replicas is known at once; what they do is known later.
        wanted = autoscaler(seen[0]._replace(ready=fleet.ready, starting=len(fleet.starting), at=float(at)))
        if wanted != fleet.replicas:
            changes += at > load.warm
            fleet.scale(wanted, lambda: float(rng.uniform(*startup)))
    fleet.advance(load.end + load.limit)
    return _judge(load, fleet, changes)


def at_first(load: Load) -> int:
    """Return a number of replicas that does for the time that is not judged."""
    busy = float(load.work[load.arrivals < load.warm].sum()) / load.warm
    return max(1, int(np.ceil(1.3 * busy / load.slots)))


def _judge(load: Load, fleet: Fleet, changes: int) -> Outcome:
    slow = fleet.waits[load.arrivals >= load.warm] > load.limit
    return Outcome(violated_share(load, fleet.waits), fleet.paid / 3600, float(np.mean(slow)), changes)


def violated_share(load: Load, waits: Floats) -> float:
    """Return the share of the judged time in whose minute more than 5 % of the requests waited beyond the limit."""
    ends = np.arange(load.warm + JUDGED, load.end, JUDGED_EVERY)
    late = np.concatenate([[0], np.cumsum(waits > load.limit)])
    before, until = np.searchsorted(load.arrivals, ends - JUDGED), np.searchsorted(load.arrivals, ends)
    requests = until - before
    is_out = (late[until] - late[before]) > LATE * requests
    return float(np.mean(is_out)) if len(ends) else 0.0


def highest_rate(load: Load, replicas: int, seed: int) -> float:
    """Return the requests per second and replica that so many replicas carry within the limit: a load test.

    The requests of the time that is not judged are replayed, in part or several times over, at eight rates by
    bisection. Every minute has the same rate, as a load test has it; what comes in bursts within a minute does so in
    the test.
    """
    rng = np.random.default_rng(seed)
    early = load.arrivals < load.warm
    moments, works = _steady(load.arrivals[early], load.warm), load.work[early]
    full, own = replicas * load.slots / float(works.mean()), len(works) / load.warm
    copies = int(np.ceil(full / own))
    shifts = np.append(0.0, rng.uniform(0, load.warm, copies - 1))
    arrivals = (moments[None, :] + shifts[:, None]).ravel() % load.warm
    order = np.argsort(arrivals)
    arrivals, work = arrivals[order], np.tile(works, copies)[order]
    chance = rng.random(len(arrivals))
    low, high = 0.0, full
    for _ in range(8):
        rate = (low + high) / 2
        kept = chance < rate / (own * copies)
        low, high = (rate, high) if _carries(load, arrivals[kept], work[kept], replicas) else (low, rate)
    return low / replicas


def _steady(moments: Floats, seconds: float) -> Floats:
    """Return moments stretched minute by minute, so that as many come in each."""
    edges = np.linspace(0.0, seconds, max(2, round(seconds / 60.0) + 1))
    counts = np.histogram(moments, edges)[0]
    return np.interp(moments, edges, np.concatenate([[0.0], np.cumsum(counts) / counts.sum() * seconds]))


def _carries(load: Load, arrivals: Floats, work: Floats, replicas: int) -> bool:
    fleet = Fleet(replace(load, arrivals=arrivals, work=work, warm=0.0), ready=replicas)
    fleet.advance(load.warm)
    judged = (arrivals > 0.1 * load.warm) & (arrivals < load.warm - load.limit)
    return float(np.mean(fleet.waits[judged] > load.limit)) <= LATE if judged.any() else True
