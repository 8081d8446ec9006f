"""Undo the chunked transfer coding, piece by piece as it comes (RFC 9112, section 7.1).

The pieces are walked through by position: the work is linear in the bytes, however small the chunks and however the
network cut them, and the result is the same for every cut.
"""

from __future__ import annotations

import re

from perfloop_loadgen import outcomes
from perfloop_loadgen.engines.http1.head import FIELD_LINE, LARGEST_HEAD, Malformed

_LONGEST_SIZE_LINE = 4096
# 16 digits are 2^64 bytes: more are no length.
_MOST_DIGITS = 16
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?")
_CHUNK_END = b"\r\n"


class ChunkedBody:
    """A body in chunks, each after its own length; `done` once the closing empty line came."""

    __slots__ = ("_ending", "_left", "_line", "_trailer", "done", "rest")

    def __init__(self) -> None:
        self._left = 0  # bytes of the chunk under way
        self._ending = 0  # bytes still missing of the line end after a chunk
        self._line = bytearray()  # a line that has begun
        self._trailer: int | None = None  # bytes that trailers may still have; None before the last chunk
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the wire; return the pieces of body in them."""
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    whole = data.startswith(_CHUNK_END, at)
                    at += 2 * whole
                    self._ending = 0 if whole else 2
            elif self._ending:
                if data[at] != _CHUNK_END[-self._ending]:
                    raise Malformed(outcomes.BAD_FRAMING)
                at += 1
                self._ending -= 1
            else:
                at = self._read_line(data, at)
        if self.done:
            self.rest = data[at:]
        return pieces

    def _read_line(self, data: bytes, at: int) -> int:
        """Read on in a chunk's size or a trailer from position `at`; return the position behind it."""
        plain = -1 if self._line else self._read_plain_line(data, at)
        if plain >= 0:
            return plain
        end = data.find(b"\n", at) + 1
        part = data[at:end] if end else data[at:]
        limit, outcome = (
            (_LONGEST_SIZE_LINE, outcomes.BAD_FRAMING)
            if self._trailer is None
            else (self._trailer, outcomes.ENDLESS_HEADERS)
        )
        if len(self._line) + len(part) > limit:
            raise Malformed(outcome)
        if not end:
            self._line += part
            return len(data)
        line = bytes(self._line + part) if self._line else part
        self._line.clear()
        # A trailer may end with LF alone, as any field (RFC 9112, section 2.2); a chunk's size may not.
        if self._trailer is None and not line.endswith(_CHUNK_END):
            raise Malformed(outcomes.BAD_FRAMING)
        self._take_line(line)
        return end

    def _read_plain_line(self, data: bytes, at: int) -> int:
        """Read a line of the kind that nearly all are, a size alone or the last one; return -1 for any other."""
        end = data.find(_CHUNK_END, at, at + _MOST_DIGITS + 2)
        if self._trailer is not None:
            if end != at or self._trailer < len(_CHUNK_END):
                return -1
            self.done = True
        elif end <= at or not data[at:end].isalnum() or data[at + 1 : at + 2] in {b"x", b"X"}:
            return -1  # without a digit, with an extension, not whole, or 0x5, which `int` would read
        else:
            try:
                self._begin_chunk(int(data[at:end], 16))
            except ValueError:
                return -1
        return end + 2

    def _begin_chunk(self, size: int) -> None:
        self._left = size
        if not size:
            self._trailer = LARGEST_HEAD

    def _take_line(self, line: bytes) -> None:
        if self._trailer is None:
            found = _SIZE_LINE.fullmatch(line, 0, len(line) - 2)
            if found is None:
                raise Malformed(outcomes.BAD_FRAMING)
            self._begin_chunk(int(found[1], 16))
            return
        self._trailer -= len(line)
        field = line[: -2 if line.endswith(_CHUNK_END) else -1]
        self.done = not field
        if field and not FIELD_LINE.fullmatch(field):
            raise Malformed(outcomes.BAD_FRAMING)
