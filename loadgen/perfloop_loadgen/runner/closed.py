"""The closed model: users who wait for their answer, think, and send the next request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.runner.agenda import Agenda
from perfloop_loadgen.runner.lane import Lane
from perfloop_loadgen.samples.book import Load, Recorder
from perfloop_loadgen.samples.histogram import SECOND

if TYPE_CHECKING:
    from perfloop_loadgen.pacing import UserShape
    from perfloop_loadgen.ports import Clock, Engine
    from perfloop_loadgen.scenario.plan import Plan

# A user whose connection failed waits this long: otherwise a dead service would keep the CPU busy.
RETRY_AFTER_NANOSECONDS = 100_000_000


class UserLane(Lane):
    """One user."""

    __slots__ = ("_due", "_loop", "number", "position")

    def __init__(self, loop: ClosedLoop, engine: Engine, recorder: Recorder, number: int) -> None:
        super().__init__(engine, recorder, loop.agenda)
        self._loop = loop
        self._due = 0
        self.number = number
        # Users start at different positions of the cycle, so that the mix holds from the first second.
        self.position = number % loop.length

    @property
    def is_idle(self) -> bool:
        """Return whether the user has no request and no journey under way."""
        return not self.busy and self.script is None

    def send_next(self, intended: int, now: int) -> None:
        """Start the next journey of the cycle."""
        loop = self._loop
        position = self.position
        self.position = position + 1 if position + 1 < loop.length else 0
        journey = loop.plan.cycle[position]
        only = journey.only
        if only is not None:
            # The body of `begin`, repeated: the call would be a tenth of the time spent here.
            self.request = only
            self.intended = intended
            self.started = now
            self.busy = True
            self.send(only)
        else:
            self.begin_journey(journey, loop.plan.next_values(), intended, now)

    def ended(self, now: int) -> None:
        """Send the next request: directly, after the think time, or not at all when the shape has fewer users now."""
        loop = self._loop
        if self.number >= loop.active:
            self.busy = False
        elif self.connect_failed:
            self.connect_failed = False
            self._later(now + max(loop.think, RETRY_AFTER_NANOSECONDS))
        elif loop.think:
            self._later(now + loop.think)
        else:
            self.send_next(now, now)

    def _later(self, due: int) -> None:
        self.busy = False
        self._due = due
        self._loop.agenda.at(due, lambda now: self._wake(due, now))

    def _wake(self, due: int, now: int) -> None:
        # A user that was stopped and started again meanwhile has another appointment.
        if due == self._due and self.number < self._loop.active and self.is_idle:
            self.send_next(due, now)


class ClosedLoop:
    """Keeps as many users active as the shape has at each moment."""

    def __init__(self, shape: UserShape, plan: Plan, think_seconds: float, clock: Clock) -> None:
        self.shape = shape
        self.plan = plan
        self.length = len(plan.cycle)
        self.think = round(think_seconds * SECOND)
        self.clock = clock
        self.active = 0
        self.lanes: list[UserLane] = []
        self.agenda: Agenda

    def open(self, engine: Engine, recorder: Recorder, began: int) -> None:
        """Make every user that the shape will ever have."""
        del began  # users start when the shape grows, not by a schedule
        self.agenda = Agenda(self.clock)
        self.lanes = [UserLane(self, engine, recorder, number) for number in range(self.shape.max_users)]

    def steer(self, elapsed_seconds: float) -> None:
        """Follow the shape: start users where it has grown; those beyond it stop after their answer."""
        # Lanes beyond `active` see it when their answer comes: a user is never interrupted.
        before, self.active = self.active, self.shape.users_at(elapsed_seconds)
        for lane in self.lanes[before : self.active]:
            if lane.is_idle:
                now = self.clock()
                lane.send_next(now, now)

    def stop(self) -> None:
        """Start no more requests."""
        self.active = 0

    @property
    def waiting(self) -> int:
        """Return 0: users do not queue."""
        return 0

    def abandon(self) -> None:
        """Nothing waits that could be dropped."""

    def close(self) -> None:
        """Close connections and drop appointments."""
        self.agenda.close()
        for lane in self.lanes:
            lane.leave()
            lane.client.close()

    def load_at(self, elapsed_seconds: float) -> Load:
        """Return the users active and the part of the shape."""
        return Load(users=self.active, phase=self.shape.phase_at(elapsed_seconds))
