"""Read an answer that comes in pieces, is chunked, streams, or ends when the connection closes."""

from __future__ import annotations

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.http1.chunked import ChunkedBody
from perfloop_loadgen.engines.http1.head import (
    FIRST_FINAL_STATUS,
    LARGEST_HEAD,
    SWITCHING_PROTOCOLS,
    Heads,
    Malformed,
    find_head_end,
    refuse_early,
)
from perfloop_loadgen.ports import Head

# Servers send one or two (100 Continue, 103 Early Hints); without a limit an answer need never come.
MOST_INTERIM = 16
# CR LF CR of CR LF CR LF.
_LONGEST_BEGUN_END = 3


class Message:
    """One answer under way. `feed` returns the pieces of body that came; `done` is set when it is complete."""

    __slots__ = ("_bodiless", "_chunked", "_heads", "_interim", "_left", "_start", "done", "head", "rest", "size")

    def __init__(self, heads: Heads, *, bodiless: bool) -> None:
        self._heads = heads
        self._bodiless = bodiless
        self._start = bytearray()
        self._interim = 0
        self._left = 0
        self._chunked: ChunkedBody | None = None
        self.head: Head | None = None
        self.done = False
        self.rest = b""
        self.size = 0

    @property
    def in_chunks(self) -> bool:
        """Return whether the body is chunked: the one coding whose work does not depend on its bytes alone."""
        return self._chunked is not None

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
        """Read heads until the final one; return what follows it."""
        begin, known = 0, len(self._start)
        if known:
            self._start += data
            # Only the new bytes are searched, and those before them that may begin the end.
            end, rest = find_head_end(self._start, max(0, known - _LONGEST_BEGUN_END))
            data = b"" if end < 0 else bytes(self._start)
        else:
            end, rest = find_head_end(data)
        while end >= 0:
            raw = data[begin:end]
            refuse_early(raw)
            if len(raw) > LARGEST_HEAD:
                raise Malformed(outcomes.ENDLESS_HEADERS)
            head = self._heads.read(raw)
            begin = rest
            if head.status >= FIRST_FINAL_STATUS or head.status == SWITCHING_PROTOCOLS:
                self._start.clear()
                return self._begin_body(head, data[begin:])
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise Malformed(outcomes.ENDLESS_INTERIM)
            end, rest = find_head_end(data, begin)
        if data:
            self._start = bytearray(data[begin:])
        refuse_early(self._start)
        return b""

    def _begin_body(self, head: Head, rest: bytes) -> bytes:
        self.head = head
        if head.status == SWITCHING_PROTOCOLS:
            # What follows is the other protocol's; the connection is dropped.
            self.done = True
            return b""
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
