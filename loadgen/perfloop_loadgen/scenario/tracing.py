"""The `traceparent` header of W3C Trace Context, on a share of the requests: those the service is to record.

Source: https://www.w3.org/TR/trace-context/#traceparent-header. The version is 00 and the flag `sampled` is set: a
service that samples as its caller does records these requests, and no others on our account.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfloop_loadgen.scenario.request import Request

HEADER = "traceparent"
_HEAD_END = b"\r\n\r\n"
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_SAMPLED = "01"
# More requests than any run sends: of a share so small that its gaps are no numbers any more.
_NEVER = 1e18


class Tracer:
    """Chooses requests at random, and gives each of them a trace of its own.

    How many go without one until the next is drawn from the geometric distribution, once for each that is chosen:
    what is asked of every request is a count.

    Args:
        share: of the requests, above 0 and at most 1.
    """

    __slots__ = ("_random", "_share", "left")

    def __init__(self, share: float) -> None:
        self._share = share
        # Not the seed of the test: two runs of it, and two workers of one, must not share a trace.
        self._random = random.Random(os.urandom(16))  # noqa: S311 - the ids come from the system
        self.left = self._gap()

    def _gap(self) -> int:
        """Return which request from here on is the next: 1 for the very next."""
        if self._share >= 1:
            return 1
        drawn = math.log(1.0 - self._random.random()) / math.log1p(-self._share)
        return 1 + int(min(drawn, _NEVER))

    def trace(self, request: Request) -> tuple[str, Request]:
        """Return a new trace id, and the request with its header; no id for one that has a header of its own."""
        self.left = self._gap()
        if any(name.lower() == HEADER for name in request.headers):
            return "", request
        trace_id, value = new_traceparent()
        head, _, body = request.wire.partition(_HEAD_END)
        wire = b"".join((head, f"\r\n{HEADER}: {value}".encode(), _HEAD_END, body))
        return trace_id, replace(request, headers={**request.headers, HEADER: value}, wire=wire)


def new_traceparent() -> tuple[str, str]:
    """Return a trace id, and a header with it."""
    drawn = os.urandom(_TRACE_BYTES + _SPAN_BYTES)
    trace, span = drawn[:_TRACE_BYTES].hex(), drawn[_TRACE_BYTES:].hex()
    # Zeros alone are no id; so unlikely that which other id it becomes does not matter.
    trace, span = (text if text.strip("0") else f"{text[:-1]}1" for text in (trace, span))
    return trace, f"00-{trace}-{span}-{_SAMPLED}"
