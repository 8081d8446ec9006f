"""A lane carries one exchange at a time and counts its outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from perfloop_loadgen import outcomes
from perfloop_loadgen.config.secrets import shown
from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.samples.histogram import PRECISION_BITS, SECOND, SHIFT_FROM
from perfloop_loadgen.samples.streams import StreamMeter
from perfloop_loadgen.samples.tally import FOLLOWED
from perfloop_loadgen.samples.traces import TraceRow
from perfloop_loadgen.scenario.checks import MISSING, find_header
from perfloop_loadgen.scenario.decoding import BodyError
from perfloop_loadgen.scenario.journey import BROKEN_OFF, Answer, Journey, Pause, Script
from perfloop_loadgen.scenario.pattern import PatternTooSlowError
from perfloop_loadgen.scenario.request import NOT_MODIFIED, Request

if TYPE_CHECKING:
    from perfloop_loadgen.ports import Client, Engine, Head
    from perfloop_loadgen.runner.agenda import Agenda
    from perfloop_loadgen.samples.book import Recorder
    from perfloop_loadgen.samples.tally import Tally

_FIRST_REDIRECT, _LAST_REDIRECT = 300, 399
_LONGEST_PLACE = 150
_CUT_STREAMS = frozenset({outcomes.CLOSED_MID_ANSWER, outcomes.CONNECTION_RESET})


class Lane:
    """Runs journeys and counts the outcomes of their requests; each load model defines what follows a journey.

    Moments are nanoseconds of the run's clock.
    """

    __slots__ = (
        "_agenda",
        "_meter",
        "_row",
        "_script_errors",
        "_step",
        "_tracer",
        "busy",
        "client",
        "connect_failed",
        "intended",
        "request",
        "script",
        "send",
        "started",
        "trace",
        "windows",
    )

    def __init__(self, engine: Engine, recorder: Recorder, agenda: Agenda) -> None:
        self.client: Client = engine.client(self)
        # Bound once: looking the method up would be done for each request.
        self.send = self.client.send
        # The trace id of the request under way; empty for nearly all of them.
        self.trace = ""
        self._tracer = recorder.tracer
        if self._tracer is not None:
            self.send = self._send_traced
        self.windows = recorder.windows
        self.busy = False
        self.intended = self.started = 0
        self.connect_failed = False
        self.script: Script | None = None
        self._agenda = agenda
        self._meter = StreamMeter()
        self._row = 0
        self._script_errors = recorder.script_errors
        # The step of a file that was sent last: (scenario, step from 1 on), 0 before the first.
        self._step: tuple[int, int] | None = None
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
        self._step = None if journey.scenario is None else (journey.scenario, 0)
        self.script = journey.play(values)
        self._move(None, intended, now)

    def begin(self, request: Request, intended: int, now: int) -> None:
        """Send a request that was due at `intended`."""
        self.request = request
        self.intended = intended
        self.started = now
        self.busy = True
        self.send(request)

    def _send_traced(self, request: Request) -> None:
        """Send a request, with a trace where it is its turn; it is counted and judged as the one it was made of."""
        tracer = self._tracer
        if tracer is not None:
            tracer.left -= 1
            if not tracer.left:
                self.trace, request = tracer.trace(request)
        self.client.send(request)

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
        outcome = OK if head.status in request.expected else self._unexpected(head)
        answer = None
        if not request.is_plain and outcome == OK:
            answer = Answer(OK, head.status, head.raw, body, request.max_body_bytes)
            outcome = answer.outcome = self._judge(request, answer, now)
        window.outcomes[outcome] += 1
        window.statuses[head.status] += 1
        window.bytes_received += size
        if self.trace:
            self._note_trace(window, outcome, now)
        if self.script is None:
            self.ended(now)
        else:
            self._move(answer or Answer(outcome, head.status, head.raw, body, request.max_body_bytes), now, now)

    def connected(self, connect: int, handshake: int) -> None:
        """Count a new connection."""
        phases = self.windows[self.request.index].phases
        phases.connect.record(connect)
        if handshake:
            phases.tls.record(handshake)

    def spoke(self, protocol: str, address: str) -> None:
        """Count a new connection by its protocol and address."""
        self.windows[self.request.index].connections[protocol, address] += 1

    def retried(self) -> None:
        """Count a request that is sent again."""
        self.windows[self.request.index].retried += 1

    def phased(self, sent: int, first: int, now: int) -> None:
        """Count the phases of the answer that is about to be counted."""
        self.windows[self.request.index].phases.record(self.started, sent or self.started, first, now)

    def redirected(self, head: Head, size: int) -> None:
        """Count a redirect that is followed: the request goes on."""
        window = self.windows[self.request.index]
        window.statuses[head.status] += 1
        window.bytes_received += size
        window.note(FOLLOWED, _place(head))
        if self.request.streams:
            # What the redirect itself had for a body is no part of the stream behind it.
            self._meter = StreamMeter()

    def received(self, data: bytes, now: int) -> None:
        """Take a piece of a streamed answer."""
        if not self._meter.feed(data, now):
            self.give_up(outcomes.EVENT_TOO_LARGE, now)

    def failed(self, outcome: str, now: int) -> None:
        """Count a request without an answer; only a timeout has a response time, as a lower bound."""
        window = self.windows[self.request.index]
        if outcome in _CUT_STREAMS and self.request.streams and self._meter.error:
            # The server said why it would not go on, then closed.
            outcome = outcomes.STREAM_ERROR
            window.note(outcome, self._meter.error)
        window.outcomes[outcome] += 1
        if outcome == outcomes.TIMEOUT:
            self._record(window, now)
        elif self.intended != self.started:
            # It did start, so it counts for the schedule, though it has no response time.
            window.record_lag(self.started - self.intended)
        if self.trace:
            self._note_trace(window, outcome, now)
        self.connect_failed = outcome in outcomes.CONNECT_FAILURES
        if self.script is None:
            self.ended(now)
        else:
            self._move(Answer(outcome), now, now)

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

    def _note_trace(self, window: Tally, outcome: str, now: int) -> None:
        row = TraceRow(self.trace, (now - self.intended) / SECOND, outcome, self.request.label)
        self.trace = ""
        window.traces_here().note(row)

    def _record(self, window: Tally, now: int) -> None:
        if self.intended == self.started:
            window.on_time.record(now - self.started)
        else:
            window.record_behind(self.intended, self.started, now)

    def _unexpected(self, head: Head) -> str:
        """Return the outcome of an answer with a status that was not expected."""
        if not _FIRST_REDIRECT <= head.status <= _LAST_REDIRECT or head.status == NOT_MODIFIED:
            return outcomes.WRONG_STATUS
        self.windows[self.request.index].note(outcomes.REDIRECT, _place(head))
        return outcomes.REDIRECT

    def _judge(self, request: Request, answer: Answer, now: int) -> str:
        """Return the outcome of an answer with the right status: check it, extract from it, measure a whole stream."""
        window = self.windows[request.index]
        if request.streams:
            # First: a server that failed in the middle of its answer explains why checks fail.
            outcome, kind = self._meter.end(now)
            streams = window.streams_here()
            if outcome != OK:
                encoding = find_header("Content-Encoding", answer.head)
                if encoding is not MISSING:
                    kind = f"a stream with Content-Encoding {encoding[:_LONGEST_PLACE]} is not read"
                if kind:
                    window.note(outcome, kind)
                return outcome
        try:
            outcome = self._look_into(request, answer, window)
        except BodyError as error:
            window.note(error.outcome, error.detail)
            return error.outcome
        except PatternTooSlowError as error:
            self._script_errors.note(error)
            return outcomes.PATTERN_TOO_SLOW
        if outcome == OK and request.streams:
            self._meter.count(streams, (self.intended, now), request.slo, request.asked_tokens)
        return outcome

    def _look_into(self, request: Request, answer: Answer, window: Tally) -> str:
        body = answer.body if request.wants_body else b""
        if request.judge is not None:
            results = request.judge(answer.head, body)
            for result in results:
                window.checks[result] += 1
            if not all(passed for _, passed in results):
                return outcomes.CHECK_FAILED
        if request.extract is not None:
            answer.values, missing = request.extract(answer.head, body)
            for name in missing:
                window.note(outcomes.MISSING_VALUE, name)
            if missing:
                return outcomes.MISSING_VALUE
        return OK

    def _move(self, answer: Answer | None, intended: int, now: int) -> None:
        """Send the answer to the journey and carry out its next move."""
        script = self.script
        if script is None:
            return
        try:
            move = script.send(answer)
        except StopIteration as end:
            self._leave_script(now, broken_off=end.value is BROKEN_OFF, cut_off=_is_cut_off(answer))
        except Exception as error:  # noqa: BLE001 - the scenario's own code may raise anything; it is counted and logged
            # An answer that the code looked into has been counted by then.
            outcome = error.outcome if isinstance(error, BodyError) else outcomes.SCRIPT_ERROR
            self.windows[self._row].outcomes[outcome] += 1
            self._script_errors.note(error)
            self._leave_script(now, broken_off=True, cut_off=_is_cut_off(answer))
        else:
            self._carry_out(move, intended, now)

    def _leave_script(self, now: int, *, broken_off: bool = False, cut_off: bool = False) -> None:
        window = self.windows[self._row]
        if not broken_off:
            window.iterations += 1
        elif not cut_off:
            # One that the end of the run cut off might have gone on.
            window.broken_off += 1
            if self._step is not None:
                window.steps[*self._step, True] += 1
        self.script = None
        self.ended(now)

    def _carry_out(self, move: Any, intended: int, now: int) -> None:
        if isinstance(move, Request):
            if move.step is not None:
                self._step = move.step
                self.windows[move.index].steps[*move.step, False] += 1
            if move.streams:
                # A meter follows one answer: what is left of an aborted one must not be counted.
                self._meter = StreamMeter()
                # To make a prompt of a hundred thousand words takes milliseconds that are not the service's.
                made = self._agenda.now()
                intended, now = (made if intended == now else intended), made
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
            self._leave_script(now)

    def _resume(self) -> None:
        now = self._agenda.now()
        self._move(None, now, now)


def _is_cut_off(answer: Answer | None) -> bool:
    return answer is not None and answer.outcome == outcomes.CUT_OFF


def _place(head: Head) -> str:
    """Return the status of a redirect and where it pointed; without the query, which need not repeat."""
    found = find_header("Location", head.raw)
    location = found if isinstance(found, str) and found else "nowhere"
    address, sign, _ = location.partition("#")[0].partition("?")
    place = shown(f"{address}?…" if sign else address)
    return f"{head.status} to {place if len(place) <= _LONGEST_PLACE else place[:_LONGEST_PLACE] + '…'}"
