"""Undo the chunked transfer coding, piece by piece as it comes (RFC 9112, section 7.1)."""

from __future__ import annotations

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.http1.head import LARGEST_HEAD, Malformed

_LONGEST_SIZE_LINE = 4096
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


class ChunkedBody:
    """A body in chunks, each after its own length; `done` once the closing empty line came."""

    __slots__ = ("_buffer", "_left", "_trailer", "done", "rest")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # bytes of the chunk under way, its closing line end included
        self._trailer = False
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the wire; return the pieces of body in them."""
        data = self._buffer + data
        self._buffer = b""
        pieces: list[bytes] = []
        while data and not self.done:
            data = self._trailers(data) if self._trailer else self._step(data, pieces)
        if self.done:
            self.rest = data
        return pieces

    def _step(self, data: bytes, pieces: list[bytes]) -> bytes:
        if self._left:
            return self._inside(data, pieces)
        line, found, rest = data.partition(b"\r\n")
        if not found:
            if len(data) > _LONGEST_SIZE_LINE:
                raise Malformed(outcomes.BAD_FRAMING)
            self._buffer = data
            return b""
        size = _size(line)
        self._trailer = size == 0
        self._left = size + 2 if size else 0
        return rest

    def _inside(self, data: bytes, pieces: list[bytes]) -> bytes:
        taken = data[: self._left]
        self._left -= len(taken)
        # The last two bytes of the chunk are its line end, and may come later than the rest.
        body = taken[: len(taken) - max(0, 2 - self._left)] if self._left < 2 else taken  # noqa: PLR2004 - CR and LF
        if body:
            pieces.append(body)
        ending = taken[len(body) :]
        if ending and ending not in (b"\r\n", b"\r", b"\n"):
            raise Malformed(outcomes.BAD_FRAMING)
        return data[len(taken) :]

    def _trailers(self, data: bytes) -> bytes:
        line, found, rest = data.partition(b"\r\n")
        if not found:
            if len(data) > LARGEST_HEAD:
                raise Malformed(outcomes.ENDLESS_HEADERS)
            self._buffer = data
            return b""
        self.done = not line
        return rest


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or not _HEXADECIMAL.issuperset(digits):
        raise Malformed(outcomes.BAD_FRAMING)
    return int(digits, 16)
