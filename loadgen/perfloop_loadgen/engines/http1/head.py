"""Read the head of an HTTP/1.1 answer (RFC 9112)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_loadgen import outcomes
from perfloop_loadgen.ports import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD_END = b"\r\n\r\n"
LARGEST_HEAD = 65_536
FIRST_FINAL_STATUS = 200
SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({204, 304})  # RFC 9112, section 6.3
_MOST_REMEMBERED = 512
_NONE: list[bytes] = []
# A head as long as this carries something that does not repeat; remembered ones stay below 2 MiB together.
_LONGEST_REMEMBERED = 4096
# 2^63 bytes have 19 digits; Python refuses to read numbers of some thousand digits with an error of its own.
_LONGEST_LENGTH = 19
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# No alternative overlaps another one, so that a hostile head is matched in linear time.
FIELD_LINE = re.compile(_TOKEN + rb":[^\r\n\0]*")
_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?(?:\r\n" + _TOKEN + rb":[^\r\n\0]*)*")
_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding|connection):[ \t]*([^\r]*)")  # in small letters
_FOLD = re.compile(rb"\r\n[ \t]+")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


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
            if head.status >= FIRST_FINAL_STATUS and len(raw) <= _LONGEST_REMEMBERED:
                self[raw] = head
        return head


def parse_head(raw: bytes) -> Head:
    """Return status, framing and persistence; raise `Malformed` on what is not an HTTP/1.x head.

    For services whose heads never repeat this runs once a request.
    """
    found = _HEAD.fullmatch(raw) or _match_unfolded(raw)
    version, status = found.groups()
    fields: dict[bytes, list[bytes]] = {}
    for name, value in _FRAMING.findall(found[0].lower()):
        values = _values(value) if b"," in value else [value.rstrip(b" \t")]
        fields[name] = fields[name] + values if name in fields else values
    return _head_of(int(status), version == b"1", fields, raw)


def _head_of(status: int, is_current: bool, fields: dict[bytes, list[bytes]], raw: bytes) -> Head:  # noqa: FBT001 - HTTP/1.1
    lengths, codings = fields.get(b"content-length", _NONE), fields.get(b"transfer-encoding", _NONE)
    options = fields.get(b"connection", _NONE)
    # HTTP/1.1 keeps connections by default, HTTP/1.0 the other way round (RFC 9112, section 9.3).
    keep_alive = b"close" not in options and (is_current or b"keep-alive" in options)
    # An answer with both framings, or a coding that HTTP/1.0 does not have, may be an attempt to split answers.
    if codings and any(codings) and (lengths or not is_current):
        keep_alive = False
    # After 101 the connection speaks another protocol, which was not requested.
    return Head(status, _length(status, lengths, codings), keep_alive and status != SWITCHING_PROTOCOLS, raw)


def _match_unfolded(raw: bytes) -> re.Match[bytes]:
    """Match a head whose long fields go on in lines of their own: obsolete, legal in an answer (RFC 9112, 5.2)."""
    line_end = raw.find(b"\r\n")
    # Not directly behind the first line (RFC 9112, section 2.2).
    begins = line_end >= 0 and raw[line_end + 2 : line_end + 3] in {b" ", b"\t"}
    found = None if begins else _HEAD.fullmatch(_FOLD.sub(b" ", raw))
    if found is None:
        raise Malformed(outcomes.NOT_HTTP)
    return found


def _values(value: bytes) -> list[bytes]:
    """Return the parts of a field that has commas in it."""
    return [part.strip(b" \t") for part in value.split(b",")]


def _length(status: int, lengths: Sequence[bytes], codings: Sequence[bytes]) -> int:
    if status in _BODILESS or status < FIRST_FINAL_STATUS:
        return 0
    if codings and any(codings):
        codings = [coding for coding in codings if coding]
        if codings.count(b"chunked") > 1:
            raise Malformed(outcomes.BAD_FRAMING)
        return Head.CHUNKED if codings[-1] == b"chunked" else Head.UNTIL_CLOSE
    if not lengths:
        return Head.UNTIL_CLOSE
    length = lengths[0]
    # Different lengths are a smuggling attempt or a bug; equal ones count once (RFC 9112, section 6.3).
    if (len(lengths) > 1 and len(set(lengths)) > 1) or not length.isdigit() or len(length) > _LONGEST_LENGTH:
        raise Malformed(outcomes.BAD_FRAMING)
    return int(length)


def refuse_early(start: bytes | bytearray, checked: int = 0) -> None:
    """Raise `Malformed` on the beginning of a head that cannot become one, however it goes on.

    A server that speaks another protocol may never send the end of a head.

    Args:
        start: what has come of the head.
        checked: how many bytes of it were checked before.
    """
    if b"HTTP/1."[: len(start)] != start[:7]:
        raise Malformed(outcomes.NOT_HTTP)
    # A line that ends without CR: the end of the head, CR LF CR LF, would never come.
    if _BARE_LINE_FEED.search(start, checked, LARGEST_HEAD):
        raise Malformed(outcomes.NOT_HTTP)
    # All but the last byte of the end may have come.
    if len(start) > LARGEST_HEAD + len(HEAD_END) - 1:
        raise Malformed(outcomes.ENDLESS_HEADERS)
