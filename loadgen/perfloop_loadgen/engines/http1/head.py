"""Read the head of an HTTP/1.1 answer (RFC 9112)."""

from __future__ import annotations

from perfloop_loadgen import outcomes
from perfloop_loadgen.ports import Head

HEAD_END = b"\r\n\r\n"
LARGEST_HEAD = 65_536
FIRST_FINAL_STATUS = 200
_BODILESS = frozenset({204, 304})  # RFC 9112, section 6.3
_MOST_REMEMBERED = 512


class Malformed(Exception):  # noqa: N818 - it carries an outcome and never leaves the engine
    """The answer breaks the protocol; `outcome` is the name it is counted under."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcomes.MEANINGS[outcome])
        self.outcome = outcome


class Heads(dict[bytes, Head]):
    """Heads by their bytes (without the closing empty line): most services repeat theirs."""

    def read(self, raw: bytes) -> Head:
        """Return the head, parsed now or earlier."""
        head = self.get(raw)
        if head is None:
            head = parse_head(raw)
            # Heads with a date or an id in them never repeat: without a limit they would fill the memory.
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            # An interim answer (100 Continue) is not an answer: the fast path must not find it.
            if head.status >= FIRST_FINAL_STATUS:
                self[raw] = head
        return head


def parse_head(raw: bytes) -> Head:
    """Return status, framing and persistence; raise `Malformed` on what is not an HTTP/1.x head."""
    line, *fields = raw.split(b"\r\n")
    if not (line.startswith(b"HTTP/1.") and line[7:8] in b"01" and line[8:9] == b" " and line[9:12].isdigit()):
        raise Malformed(outcomes.NOT_HTTP)
    status = int(line[9:12])
    lengths: set[bytes] = set()
    codings = connection = b""
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon:
            raise Malformed(outcomes.NOT_HTTP)
        name = name.lower()
        if name == b"content-length":
            lengths.add(value.strip())
        elif name == b"transfer-encoding":
            codings = value.strip().lower()
        elif name == b"connection":
            connection = value.strip().lower()
    # HTTP/1.1 keeps connections by default, HTTP/1.0 the other way round (RFC 9112, section 9.3).
    keep_alive = connection != b"close" and (line[7:8] == b"1" or connection == b"keep-alive")
    return Head(status, _length(status, lengths, codings), keep_alive, raw)


def _length(status: int, lengths: set[bytes], codings: bytes) -> int:
    if status in _BODILESS or status < FIRST_FINAL_STATUS:
        return 0
    if codings:
        return Head.CHUNKED if codings.endswith(b"chunked") else Head.UNTIL_CLOSE
    if not lengths:
        return Head.UNTIL_CLOSE
    length = lengths.pop()
    # Different lengths are a smuggling attempt or a bug; equal ones were merged by the set (RFC 9112, section 6.3).
    if lengths or not length.isdigit():
        raise Malformed(outcomes.BAD_FRAMING)
    return int(length)
