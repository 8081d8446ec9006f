"""What an HTTP/1.1 answer is, by the load generator's own parser and by h11, for fuzzing one against the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import h11

from perfloop_loadgen.engines.http1.head import Heads, Malformed
from perfloop_loadgen.engines.http1.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Reading:
    """One parser's reading; `outcome` names why it refused, or is empty."""

    outcome: str
    status: int = 0
    body: bytes = b""
    is_whole: bool = False
    rest: bytes = b""


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at places, given as numbers of any size."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)] or [b""]


def read(pieces: Sequence[bytes], *, closed: bool = False) -> Reading:
    """Read an answer to GET that comes in these pieces; `closed`: the connection ends behind them."""
    message = Message(Heads(), bodiless=False)
    body = bytearray()
    rest = b""
    try:
        for piece in pieces:
            if message.done:
                rest += piece
                continue
            for part in message.feed(piece):
                body += part
            rest = message.rest
    except Malformed as error:
        # How much of the body came before the mistake depends on the pieces; that there is one must not.
        return Reading(error.outcome)
    whole = message.done or (closed and message.ended_by_close())
    if message.head is not None and message.head.status == 101:
        rest = b""  # another protocol's
    return Reading("", message.head.status if message.head else 0, bytes(body), whole, rest)


def read_by_h11(data: bytes) -> Reading:
    """Read the same with h11, the connection closed behind it."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100_000)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, bytearray()
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Reading("", status, bytes(body), is_whole=True, rest=connection.trailing_data[0])
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return Reading("", status, bytes(body))
    except h11.RemoteProtocolError as error:
        return Reading(str(error) or "refused", status, bytes(body))
