"""The autoscalers that are compared: this project's, the HPA, KEDA, and one that knows the future.

HPA: kubernetes/kubernetes pkg/controller/podautoscaler (replica_calculator.go, horizontal.go) with its defaults:
tolerance 0.1, replicas that start count as unused, scale up by at most 100 % or 4 replicas per period, scale down by
the highest recommendation of the last 5 minutes. KEDA hands a rate to that controller as an external metric
(AverageValue).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np
from autoscaling_fleet import TICK, Observation

from perfloop_analyzer.planning.scaling import Demand, Fleet, Seen, State, decide, find_needs, load_ahead
from perfloop_analyzer.planning.scaling.watch import LATE_SECONDS

if TYPE_CHECKING:
    from autoscaling_loads import Floats, Load

    from perfloop_base.scaling import ServiceScaling

MOST = 400
DOWN_WINDOW = 300.0
TOLERANCE = 0.1
HISTORY = 240  # ticks, an hour: what the analyzer asks for


class Scaler(Protocol):
    """Says how many replicas there shall be."""

    delay: float

    def __call__(self, seen: Observation) -> int:
        """Return the number for what is seen."""


class _Controller:
    """What the HPA does with a recommendation: rate limit, stabilisation, bounds."""

    delay = TICK

    def __init__(self) -> None:
        self._past: deque[tuple[float, int]] = deque()

    def stabilised(self, at: float, recommended: int, current: int) -> int:
        self._past.append((at, recommended))
        while self._past[0][0] < at - DOWN_WINDOW:
            self._past.popleft()
        if recommended < current:
            recommended = min(current, max(number for _, number in self._past))
        most = max(2 * current, current + 4)
        return max(1, min(recommended, most, MOST))


class Hpa(_Controller):
    """The Horizontal Pod Autoscaler on a target utilisation."""

    def __init__(self, target: float) -> None:
        super().__init__()
        self._target = target

    def __call__(self, seen: Observation) -> int:
        """Return the replicas that bring the use to the target."""
        current = seen.ready + seen.starting
        return self.stabilised(seen.at, self._recommended(seen, current), current)

    def _recommended(self, seen: Observation, current: int) -> int:
        ratio = seen.use / self._target
        if not seen.starting or ratio < 1:
            return current if abs(ratio - 1) <= TOLERANCE else math.ceil(ratio * seen.ready - 1e-9)
        with_starting = seen.use * seen.ready / current / self._target
        if abs(with_starting - 1) <= TOLERANCE or with_starting < 1:
            return current
        return max(current, math.ceil(with_starting * current - 1e-9))


class Keda(_Controller):
    """KEDA's Prometheus trigger on the rate of requests, per replica."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def __call__(self, seen: Observation) -> int:
        """Return the replicas that bring the rate of each to the threshold."""
        current = seen.ready + seen.starting
        ratio = seen.rate / self._rate / max(current, 1)
        wanted = current if abs(ratio - 1) <= TOLERANCE else math.ceil(seen.rate / self._rate - 1e-9)
        return self.stabilised(seen.at, wanted, current)


class Perfloop:
    """This project's policy, by the code that the analyzer runs."""

    delay = TICK  # on average: a scrape every 5 s, an asking every 15 s, a scrape of the analyzer every 5 s

    def __init__(self, load: Load, within: float, measured_at: int, settings: ServiceScaling) -> None:
        """Take the rate per replica that a load test found, in requests per second of the mean length then."""
        mix = load.work[load.arrivals < load.warm]
        # In slots: one request a second of so many seconds keeps so many busy.
        self._fleet = Fleet(within * float(mix.mean()), float(load.slots), measured_at)
        self._settings, self._shows_line = settings, load.shows_line
        self._rates: deque[float] = deque(maxlen=HISTORY)
        self._state = State()

    def __call__(self, seen: Observation) -> int:
        """Return the policy's answer; without one nothing changes."""
        self._rates.append(seen.rate)
        demand = self._demand(seen)
        needs = find_needs(demand, self._fleet, self._settings.drain, self._settings.tolerance)
        moment = Seen(seen.at, seen.ready, idle=demand.is_idle)
        decision, self._state = decide(needs, moment, self._settings, self._state)
        return seen.ready + seen.starting if decision.replicas is None else decision.replicas

    def _demand(self, seen: Observation) -> Demand:
        seconds = self._settings.startup + LATE_SECONDS
        ahead = load_ahead(np.array(self._rates), TICK, seconds, self._settings.confidence)
        if ahead is None or not math.isfinite(seen.work):
            return Demand(replicas=seen.ready)
        line = {"waiting": float(seen.waiting), "running": float(seen.running)} if self._shows_line else {}
        return Demand(
            load=ahead.upper * seen.work, now=ahead.now * seen.work, request=seen.work, replicas=seen.ready, **line
        )


class Oracle:
    """Knows the load until the slowest replica has started: asks for what it takes, in time, and gives up at once."""

    delay = 0.0

    def __init__(self, load: Load, startup: float, spare: float) -> None:
        """Plan ahead; `spare` slots per root of the load are kept free."""
        step = 5.0
        edges = np.arange(0.0, load.end + startup + 4 * TICK, step)
        busy = _busy(load, edges)
        needed = np.ceil((busy + spare * np.sqrt(np.maximum(busy, 0.0))) / load.slots)
        ahead = round((startup + 2 * TICK) / step)
        padded = np.pad(needed, (0, ahead), mode="edge")
        self._needed = np.lib.stride_tricks.sliding_window_view(padded, ahead + 1).max(axis=1)
        self._step = step

    def __call__(self, seen: Observation) -> int:
        """Return what the next minutes take."""
        return max(1, int(self._needed[min(int(seen.at / self._step), len(self._needed) - 1)]))


def _busy(load: Load, edges: Floats) -> Floats:
    """Return how many slots are busy in each interval where nobody waits, averaged over it."""
    starts, ends = load.arrivals, np.sort(load.arrivals + load.work)
    began, ended = np.searchsorted(starts, edges), np.searchsorted(ends, edges)
    at_edges = (began - ended).astype(float)
    return np.maximum(at_edges, np.append(at_edges[1:], at_edges[-1]))
