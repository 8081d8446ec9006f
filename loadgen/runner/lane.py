"""A lane carries one exchange at a time and writes down how it went."""

from __future__ import annotations

from loadgen.ports import Client, Engine, Head
from loadgen.samples import outcomes
from loadgen.samples.book import Recorder
from loadgen.samples.histogram import PRECISION_BITS, SHIFT_FROM
from loadgen.samples.tally import Tally
from loadgen.scenario.request import Request


class Lane:
    """Begins requests and counts their ends; what happens next is `settled`, which each load model defines."""

    __slots__ = ("busy", "client", "intended", "last_outcome", "request", "started", "windows")

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        self.client: Client = engine.client(self)
        self.windows = recorder.windows
        self.busy = False
        self.intended = self.started = 0
        self.last_outcome = outcomes.OK
        self.request: Request

    def begin(self, request: Request, intended: int, now: int) -> None:
        """Send a request that was due at `intended`."""
        self.request = request
        self.intended = intended
        self.started = now
        self.busy = True
        self.client.send(request)

    def settled(self, now: int) -> None:
        """Go on after an exchange has ended and been counted."""
        raise NotImplementedError

    def answered(self, head: Head, size: int, body: bytes, now: int) -> None:  # noqa: ARG002 - other lanes read it
        """Count an answer. This runs once a request: the bucket is worked out here, as `bucket_of` would."""
        request = self.request
        window = self.windows[request.index]
        started = self.started
        if self.intended == started:
            took = now - started
            shift = took.bit_length() - SHIFT_FROM
            window.on_time.counts[(shift << PRECISION_BITS) + (took >> shift) if shift > 0 else took] += 1
        else:
            window.record_behind(self.intended, started, now)
        outcome = outcomes.OK if head.status in request.expected else outcomes.WRONG_STATUS
        window.outcomes[outcome] += 1
        window.bytes_received += size
        self.last_outcome = outcome
        self.settled(now)

    def received(self, data: bytes, now: int) -> None:
        """Pieces of a stream matter to the lanes that measure streams."""

    def failed(self, outcome: str, now: int) -> None:
        """Count a request without an answer; only a timeout has a time worth keeping, as a lower bound."""
        window = self.windows[self.request.index]
        window.outcomes[outcome] += 1
        if outcome == outcomes.TIMEOUT:
            self._record(window, now)
        elif self.intended != self.started:
            window.record_lag(self.started - self.intended)
        self.last_outcome = outcome
        self.settled(now)

    def _record(self, window: Tally, now: int) -> None:
        if self.intended == self.started:
            window.on_time.record(now - self.started)
        else:
            window.record_behind(self.intended, self.started, now)

    def give_up(self, outcome: str, now: int) -> None:
        """End the exchange under way from outside: its time is up."""
        self.client.abort()
        self.failed(outcome, now)
