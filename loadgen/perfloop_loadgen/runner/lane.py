"""A lane carries one exchange at a time and counts its outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from perfloop_loadgen import outcomes
from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.samples.histogram import PRECISION_BITS, SECOND, SHIFT_FROM
from perfloop_loadgen.samples.streams import StreamMeter
from perfloop_loadgen.scenario.journey import Answer, Journey, Pause, Script
from perfloop_loadgen.scenario.pattern import PatternTooSlowError
from perfloop_loadgen.scenario.request import Request

if TYPE_CHECKING:
    from perfloop_loadgen.ports import Client, Engine, Head
    from perfloop_loadgen.runner.agenda import Agenda
    from perfloop_loadgen.samples.book import Recorder
    from perfloop_loadgen.samples.tally import Tally

_NO_ANSWER = b""


class Lane:
    """Runs journeys and counts the outcomes of their requests; each load model defines what follows a journey.

    Moments are nanoseconds of the run's clock.
    """

    __slots__ = (
        "_agenda",
        "_meter",
        "_row",
        "_script_errors",
        "busy",
        "client",
        "connect_failed",
        "intended",
        "request",
        "script",
        "send",
        "started",
        "windows",
    )

    def __init__(self, engine: Engine, recorder: Recorder, agenda: Agenda) -> None:
        self.client: Client = engine.client(self)
        # Bound once: looking the method up would be done for each request.
        self.send = self.client.send
        self.windows = recorder.windows
        self.busy = False
        self.intended = self.started = 0
        self.connect_failed = False
        self.script: Script | None = None
        self._agenda = agenda
        self._meter = StreamMeter()
        self._row = 0
        self._script_errors = recorder.script_errors
        self.request: Request

    def ended(self, now: int) -> None:
        """Continue after a journey."""
        raise NotImplementedError

    def begin_journey(self, journey: Journey, values: dict[str, Any], intended: int, now: int) -> None:
        """Start what was due at `intended`."""
        if journey.play is None:
            if journey.only is not None:
                self.begin(journey.only, intended, now)
            return
        self._row = journey.index
        self.script = journey.play(values)
        self._move(None, intended, now)

    def begin(self, request: Request, intended: int, now: int) -> None:
        """Send a request that was due at `intended`."""
        self.request = request
        self.intended = intended
        self.started = now
        self.busy = True
        self.send(request)

    def answered(self, head: Head, size: int, body: bytes, now: int) -> None:
        """Count an answer. This runs once a request, so the body of `bucket_of` is repeated here instead of called."""
        request = self.request
        window = self.windows[request.index]
        started = self.started
        # Closed loops and punctual arrivals: one time, and no lag to record.
        if self.intended == started:
            took = now - started
            shift = took.bit_length() - SHIFT_FROM
            window.on_time.counts[(shift << PRECISION_BITS) + (took >> shift) if shift > 0 else took] += 1
        else:
            window.record_behind(self.intended, started, now)
        outcome = OK if head.status in request.expected else outcomes.WRONG_STATUS
        if not request.is_plain and outcome == OK:
            outcome = self._judge(request, head, body, now)
        window.outcomes[outcome] += 1
        window.bytes_received += size
        if self.script is None:
            self.ended(now)
        else:
            self._move(Answer(outcome, head.status, head.raw, body), now, now)

    def connected(self, connect: int, handshake: int) -> None:
        """Count a new connection."""
        phases = self.windows[self.request.index].phases
        phases.connect.record(connect)
        if handshake:
            phases.tls.record(handshake)

    def phased(self, sent: int, first: int, now: int) -> None:
        """Count the phases of the answer that is about to be counted."""
        self.windows[self.request.index].phases.record(self.started, sent or self.started, first, now)

    def received(self, data: bytes, now: int) -> None:
        """Take a piece of a streamed answer."""
        if not self._meter.feed(data, now):
            self.give_up(outcomes.EVENT_TOO_LARGE, now)

    def failed(self, outcome: str, now: int) -> None:
        """Count a request without an answer; only a timeout has a response time, as a lower bound."""
        window = self.windows[self.request.index]
        window.outcomes[outcome] += 1
        if outcome == outcomes.TIMEOUT:
            self._record(window, now)
        elif self.intended != self.started:
            # It did start, so it counts for the schedule, though it has no response time.
            window.record_lag(self.started - self.intended)
        self.connect_failed = outcome in outcomes.CONNECT_FAILURES
        if self.script is None:
            self.ended(now)
        else:
            self._move(Answer(outcome, 0, _NO_ANSWER, _NO_ANSWER), now, now)

    def give_up(self, outcome: str, now: int) -> None:
        """End the exchange under way from outside: its time is up."""
        # A timeout while connecting has its own name: the service may be fine behind a full backlog.
        connecting = self.client.abort()
        self.failed(outcomes.CONNECT_TIMEOUT if connecting and outcome == outcomes.TIMEOUT else outcome, now)

    def leave(self) -> None:
        """End the journey under way: the run is over."""
        script, self.script = self.script, None
        if script is not None:
            script.close()

    def _record(self, window: Tally, now: int) -> None:
        if self.intended == self.started:
            window.on_time.record(now - self.started)
        else:
            window.record_behind(self.intended, self.started, now)

    def _judge(self, request: Request, head: Head, body: bytes, now: int) -> str:
        """Return the outcome of an answer with the right status: run its checks, measure a complete stream."""
        if request.judge is not None:
            results = request.judge(head.raw, body)
            checks = self.windows[request.index].checks
            for result in results:
                checks[result] += 1
            if not all(passed for _, passed in results):
                return outcomes.CHECK_FAILED
        if request.streams:
            if not self._meter.events:
                return outcomes.EMPTY_STREAM
            streams = self.windows[request.index].streams_here()
            self._meter.close(streams, self.intended, now, request.slo)
        return outcomes.OK

    def _move(self, answer: Answer | None, intended: int, now: int) -> None:
        """Send the answer to the journey and carry out its next move."""
        script = self.script
        if script is None:
            return
        try:
            move = script.send(answer)
        except StopIteration:
            move = None
        except Exception as error:  # noqa: BLE001 - the scenario's own code may raise anything; it is counted and logged
            too_slow = isinstance(error, PatternTooSlowError)
            self.windows[self._row].outcomes[outcomes.PATTERN_TOO_SLOW if too_slow else outcomes.SCRIPT_ERROR] += 1
            self._script_errors.note(error)
            move = None
        self._carry_out(move, intended, now)

    def _carry_out(self, move: Any, intended: int, now: int) -> None:
        if isinstance(move, Request):
            if move.streams:
                # A meter follows one answer: what is left of an aborted one must not be counted.
                self._meter = StreamMeter()
            self.begin(move, intended, now)
        elif isinstance(move, Pause):
            self.busy = False
            due = now + round(move.seconds * SECOND)
            self._agenda.at(due, lambda woken: self._move(None, due, woken))
        elif isinstance(move, asyncio.Future):
            # The scenario awaits something of its own: it continues when that is done.
            self.busy = False
            move.add_done_callback(lambda _: self._resume())
        else:
            self.windows[self._row].iterations += 1
            self.script = None
            self.ended(now)

    def _resume(self) -> None:
        now = self._agenda.now()
        self._move(None, now, now)
