"""Read an answer that comes in pieces, is chunked, streams, or ends when the connection closes."""

from __future__ import annotations

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.http1.chunked import ChunkedBody
from perfloop_loadgen.engines.http1.head import FIRST_FINAL_STATUS, HEAD_END, LARGEST_HEAD, Heads, Malformed
from perfloop_loadgen.ports import Head


class Message:
    """One answer under way. `feed` returns the pieces of body that came; `done` is set when it is complete."""

    __slots__ = ("_bodiless", "_chunked", "_heads", "_left", "_start", "done", "head", "rest", "size")

    def __init__(self, heads: Heads, *, bodiless: bool) -> None:
        self._heads = heads
        self._bodiless = bodiless
        self._start = b""
        self._left = 0
        self._chunked: ChunkedBody | None = None
        self.head: Head | None = None
        self.done = False
        self.rest = b""
        self.size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the wire; return the pieces of body in them."""
        self.size += len(data)
        if self.head is None:
            data = self._find_head(data)
            if self.head is None:
                return []
        if self.done:
            self.rest = data
            return []
        return self._body(data) if data else []

    def _find_head(self, data: bytes) -> bytes:
        start = self._start + data
        end = start.find(HEAD_END)
        if end < 0:
            _refuse_early(start)
            self._start = start
            return b""
        head = self._heads.read(start[:end])
        rest = start[end + len(HEAD_END) :]
        if head.status < FIRST_FINAL_STATUS:
            # An interim answer: the real one follows.
            self._start = b""
            return self._find_head(rest)
        self.head = head
        if self._bodiless or head.length == 0:
            self.done = True
        elif head.length == Head.CHUNKED:
            self._chunked = ChunkedBody()
        self._left = head.length
        return rest

    def _body(self, data: bytes) -> list[bytes]:
        if self._chunked is not None:
            pieces = self._chunked.feed(data)
            self.done, self.rest = self._chunked.done, self._chunked.rest
            return pieces
        if self._left < 0:
            return [data]
        piece, self.rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        self.done = self._left == 0
        return [piece]

    def ended_by_close(self) -> bool:
        """Return whether the answer is complete now that the server has closed the connection."""
        return self.head is not None and self.head.length == Head.UNTIL_CLOSE


def _refuse_early(start: bytes) -> None:
    # With the first bytes: a server that speaks another protocol may never send the end of a head.
    if not b"HTTP/1."[: len(start)] == start[:7]:
        raise Malformed(outcomes.NOT_HTTP)
    if len(start) > LARGEST_HEAD:
        raise Malformed(outcomes.ENDLESS_HEADERS)
