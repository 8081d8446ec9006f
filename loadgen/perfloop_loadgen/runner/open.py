"""The open model: requests start on a schedule, whether or not earlier ones have been answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.runner.agenda import Agenda
from perfloop_loadgen.runner.lane import Lane
from perfloop_loadgen.samples.book import Load, Recorder
from perfloop_loadgen.samples.histogram import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfloop_loadgen.pacing import RateShape
    from perfloop_loadgen.ports import Clock, Engine
    from perfloop_loadgen.scenario.journey import Journey
    from perfloop_loadgen.scenario.plan import Plan

# Arrivals closer together than this are sent in one wake-up: the lag stays well below a millisecond.
_COALESCE_NANOSECONDS = 100_000


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """How many requests may be under way, and how long one may wait for a free lane before it is dropped."""

    max_in_flight: int
    patience_seconds: float


class ArrivalLane(Lane):
    """A lane for one arrival after the other."""

    __slots__ = ("_forget", "_loop")

    def __init__(self, loop: OpenLoop, engine: Engine, recorder: Recorder) -> None:
        super().__init__(engine, recorder, loop.agenda)
        self._loop = loop
        # Every arrival is another user: the cookies of the one before are not theirs.
        self._forget: Callable[[], None] | None = getattr(self.client, "forget", None)

    def begin_journey(self, journey: Journey, values: dict[str, Any], intended: int, now: int) -> None:
        """Start an arrival."""
        if self._forget is not None:
            self._forget()
        super().begin_journey(journey, values, intended, now)

    def ended(self, now: int) -> None:
        """Take a waiting request, or become idle."""
        self.busy = False
        self._loop.freed(self, now)


class OpenLoop:
    """Starts each request at its moment of one absolute schedule; what cannot start waits and is late.

    `max_in_flight` bounds the connections. Beyond it arrivals wait; one that has waited longer than the timeout
    is dropped and counted. A share of the schedule (every n-th arrival) makes one worker of several.
    """

    def __init__(self, shape: RateShape, plan: Plan, limits: OpenLimits, clock: Clock) -> None:
        self.shape = shape
        self.clock = clock
        self.lanes: list[ArrivalLane] = []
        self._plan = plan
        self._max_in_flight = limits.max_in_flight
        self._patience = round(limits.patience_seconds * SECOND)
        # A stack: the lane used last is used next, so that few connections are opened and caches stay warm.
        self._idle: list[ArrivalLane] = []
        # With the data of each: an arrival of a trace has its own, also behind one that is dropped.
        self._waiting: deque[tuple[int, Journey, dict[str, Any]]] = deque()
        self._step = 1
        self._starts = shape.starts()
        self._began = 0
        self._number = 0
        self._stopped = False
        self._next_due: int | None = None

    def share(self, index: int, of: int, from_seconds: float = 0.0) -> None:
        """Take every `of`-th arrival, from `index`; of those, the ones that are due from a second of the schedule on.

        Every sender computes the whole schedule and takes its share: together they send it exactly once.
        """
        starts: Iterator[float] = islice(self.shape.starts(), index, None, of)
        self._step, self._number = of, index
        for due in starts:
            if due >= from_seconds:
                starts = chain((due,), starts)
                break
            # What was due before had its journey and its data too.
            self._next_journey()
            self._plan.next_values()
        self._starts = starts

    def open(self, engine: Engine, recorder: Recorder, began: int) -> None:
        """Make the first appointment; `began` is the zero of the schedule."""
        self._engine = engine
        self._recorder = recorder
        self.agenda = Agenda(self.clock)
        self._began = began
        self._plan_next()
        self._appoint()

    def steer(self, elapsed_seconds: float) -> None:
        """Drop what has waited too long; the schedule itself needs no steering."""
        del elapsed_seconds
        oldest = self.clock() - self._patience
        while self._waiting and self._waiting[0][0] < oldest:
            self._drop(self._waiting.popleft()[1])

    def stop(self) -> None:
        """Plan nothing more; what was due by now still starts, however late."""
        if not self._stopped:
            self._stopped = True
            self._wake(self.clock())

    @property
    def waiting(self) -> int:
        """Return how many arrivals wait for a free lane."""
        return len(self._waiting)

    def abandon(self) -> None:
        """Drop everything that waits."""
        while self._waiting:
            self._drop(self._waiting.popleft()[1])

    def close(self) -> None:
        """Close connections and drop appointments."""
        self.agenda.close()
        for lane in self.lanes:
            lane.leave()
            lane.client.close()

    def load_at(self, elapsed_seconds: float) -> Load:
        """Return the requested rate and the requests under way."""
        return Load(
            users=len(self.lanes) - len(self._idle),
            target_rate=self.shape.rate_at(elapsed_seconds),
            phase=self.shape.phase_at(elapsed_seconds),
            waiting=len(self._waiting),
        )

    def freed(self, lane: ArrivalLane, now: int) -> None:
        """Give a lane the next request that waits."""
        if self._waiting:
            due, journey, values = self._waiting.popleft()
            lane.begin_journey(journey, values, due, now)
        else:
            self._idle.append(lane)

    def _wake(self, now: int) -> None:
        while self._next_due is not None and self._next_due <= now:
            self._start(self._next_journey(), self._next_due, self.clock())
            self._plan_next()
        self._appoint()

    def _start(self, journey: Journey, due: int, now: int) -> None:
        # While others wait, a free lane is theirs: arrivals start in the order in which they were due.
        if self._idle and not self._waiting:
            lane = self._idle.pop()
            lane.begin_journey(journey, self._plan.next_values(), due, now)
        elif len(self.lanes) < self._max_in_flight:
            lane = ArrivalLane(self, self._engine, self._recorder)
            self.lanes.append(lane)
            lane.begin_journey(journey, self._plan.next_values(), due, now)
        else:
            self._waiting.append((due, journey, self._plan.next_values()))

    def _next_journey(self) -> Journey:
        cycle = self._plan.cycle
        journey = cycle[self._number % len(cycle)]
        self._number += self._step
        return journey

    def _plan_next(self) -> None:
        due = next(self._starts, None)
        self._next_due = None if due is None else self._began + round(due * SECOND)

    def _appoint(self) -> None:
        if self._next_due is not None and not self._stopped:
            # Not below the coalescing interval: one wake-up then sends all that became due meanwhile.
            self.agenda.at(max(self._next_due, self.clock() + _COALESCE_NANOSECONDS), self._wake)

    def _drop(self, journey: Journey) -> None:
        self._recorder.windows[journey.index].dropped += 1
