"""The closed model: users who wait for their answer, think, and ask again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.runner.agenda import Agenda
from perfloop_loadgen.runner.lane import Lane
from perfloop_loadgen.samples.book import Load, Recorder
from perfloop_loadgen.samples.histogram import SECOND

if TYPE_CHECKING:
    from perfloop_loadgen.pacing.shapes import UserShape
    from perfloop_loadgen.ports import Clock, Engine
    from perfloop_loadgen.runner.plan import Plan

# A user whose connection failed waits this long, so that a dead service is not asked in a spin.
RETRY_AFTER_NANOSECONDS = 100_000_000


class UserLane(Lane):
    """One user."""

    __slots__ = ("_due", "_loop", "number", "position")

    def __init__(self, loop: ClosedLoop, engine: Engine, recorder: Recorder, number: int) -> None:
        super().__init__(engine, recorder, loop.agenda)
        self._loop = loop
        self._due = 0
        self.number = number
        # Users start at different places of the cycle, so that the mix holds from the first second.
        self.position = number % loop.length

    @property
    def is_away(self) -> bool:
        """Say whether the user has no request and no journey under way."""
        return not self.busy and self.script is None

    def ask(self, intended: int, now: int) -> None:
        """Start on the next place of the cycle."""
        loop = self._loop
        position = self.position
        self.position = position + 1 if position + 1 < loop.length else 0
        journey = loop.plan.cycle[position]
        only = journey.only
        if only is not None:
            # What `begin` does, once a request: the call would be a tenth of the time spent here.
            self.request = only
            self.intended = intended
            self.started = now
            self.busy = True
            self.send(only)
        else:
            self.begin_journey(journey, loop.plan.next_values(), intended, now)

    def ended(self, now: int) -> None:
        """Ask again: at once, after the think time, or not at all when the shape has no place for this user."""
        loop = self._loop
        if self.number >= loop.active:
            self.busy = False
        elif self.connect_failed:
            self.connect_failed = False
            self._later(now + max(loop.think, RETRY_AFTER_NANOSECONDS))
        elif loop.think:
            self._later(now + loop.think)
        else:
            self.ask(now, now)

    def _later(self, due: int) -> None:
        self.busy = False
        self._due = due
        self._loop.agenda.at(due, lambda now: self._wake(due, now))

    def _wake(self, due: int, now: int) -> None:
        # A user that was sent off and called back meanwhile has another appointment.
        if due == self._due and self.number < self._loop.active and self.is_away:
            self.ask(due, now)


class ClosedLoop:
    """Keeps as many users asking as the shape wants at each moment."""

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
        """Make every user that the shape will ever want."""
        del began  # users start when the shape has room for them, not by a schedule
        self.agenda = Agenda(self.clock)
        self.lanes = [UserLane(self, engine, recorder, number) for number in range(self.shape.most_users)]

    def steer(self, elapsed_seconds: float) -> None:
        """Follow the shape: wake users that it has room for; the others stop after their answer."""
        before, self.active = self.active, self.shape.users_at(elapsed_seconds)
        for lane in self.lanes[before : self.active]:
            if lane.is_away:
                now = self.clock()
                lane.ask(now, now)

    def stop(self) -> None:
        """Ask nothing more."""
        self.active = 0

    @property
    def waiting(self) -> int:
        """Users do not queue: nothing ever waits."""
        return 0

    def abandon(self) -> None:
        """Nothing waits that could be dropped."""

    def close(self) -> None:
        """Let connections and appointments go."""
        self.agenda.close()
        for lane in self.lanes:
            lane.leave()
            lane.client.close()

    def load_at(self, elapsed_seconds: float) -> Load:
        """Return the users active and the part of the shape."""
        return Load(users=self.active, phase=self.shape.phase_at(elapsed_seconds))
