"""Read the head of an HTTP/1.1 answer (RFC 9112)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_loadgen import outcomes
from perfloop_loadgen.ports import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
_CARRIAGE_RETURN = 0x0D
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Space before the colon is wrong, and a proxy removes it (RFC 9112, section 5.1).
_FIELD = _TOKEN + rb"[ \t]*:[^\r\n\0]*"
# No alternative overlaps another one, so that a hostile head is matched in linear time.
FIELD_LINE = re.compile(_FIELD)
# A minor version that is not known yet is read as 1.1 (RFC 9110, section 2.5).
_HEAD = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: [^\r\n\0]*)?(?:\r\n" + _FIELD + rb")*")
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|keep-alive)[ \t]*:[ \t]*([^\r]*)"  # in small letters
)
_FOLD = re.compile(rb"\r\n[ \t]+")
_LINE_END = re.compile(rb"\r?\n")
_KEEP_ALIVE = re.compile(rb"\r\nkeep-alive:([^\r]*)")  # in small letters
_IDLE_SECONDS = re.compile(rb"timeout=([0-9]{1,9})")


def find_head_end(data: bytes | bytearray, begin: int = 0) -> tuple[int, int]:
    """Return where the next head ends, its last line end left out, and where what follows it begins.

    Both are -1 while the end has not come. A line may end with LF alone (RFC 9112, section 2.2).
    """
    empty = data.find(b"\n\r\n", begin)
    bare = data.find(b"\n\n", begin, len(data) if empty < 0 else empty + 1)
    if bare >= 0:
        empty, rest = bare, bare + 2
    elif empty >= 0:
        rest = empty + 3
    else:
        return -1, -1
    # The CR of the head's last line is no part of it.
    return (empty - 1 if empty > begin and data[empty - 1] == _CARRIAGE_RETURN else empty), rest


class Malformed(Exception):  # noqa: N818 - it carries an outcome and never leaves the engine
    """The answer breaks the protocol; `outcome` is the name it is counted under."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcomes.MEANINGS[outcome])
        self.outcome = outcome


class Heads(dict[bytes, Head]):
    """Heads by their bytes (without the closing empty line): most services repeat theirs.

    Args:
        announced: called with the seconds for which a server says that it keeps an idle connection.
    """

    def __init__(self, announced: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self._announced = announced

    def read(self, raw: bytes) -> Head:
        """Return the head, parsed now or earlier."""
        head = self.get(raw)
        if head is None:
            head = parse_head(raw)
            if head.idle_seconds and self._announced is not None:
                self._announced(head.idle_seconds)
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
    if raw.count(b"\n") != raw.count(b"\r\n"):
        raw = _LINE_END.sub(b"\r\n", raw)
    found = _HEAD.fullmatch(raw) or _match_unfolded(raw)
    version, status = found.groups()
    fields: dict[bytes, list[bytes]] = {}
    for name, value in _FRAMING.findall(found[0].lower()):
        values = _values(value) if b"," in value else [value.rstrip(b" \t")]
        fields[name] = fields[name] + values if name in fields else values
    return _head_of(int(status), version != b"0", fields, raw)


def _head_of(status: int, is_current: bool, fields: dict[bytes, list[bytes]], raw: bytes) -> Head:  # noqa: FBT001 - HTTP/1.1
    lengths, codings = fields.get(b"content-length", _NONE), fields.get(b"transfer-encoding", _NONE)
    options = fields.get(b"connection", _NONE)
    # HTTP/1.1 keeps connections by default, HTTP/1.0 the other way round (RFC 9112, section 9.3).
    keep_alive = b"close" not in options and (is_current or b"keep-alive" in options)
    # An answer with both framings, or a coding that HTTP/1.0 does not have, may be an attempt to split answers.
    if codings and any(codings) and (lengths or not is_current):
        keep_alive = False
    # After 101 the connection speaks another protocol, which was not requested.
    return Head(
        status,
        _length(status, lengths, codings),
        keep_alive and status != SWITCHING_PROTOCOLS,
        raw,
        idle_seconds=_announced_in(b",".join(fields[b"keep-alive"])) if b"keep-alive" in fields else 0,
    )


def idle_seconds(raw: bytes) -> int:
    """Return for how many seconds a server says that it keeps an idle connection; 0 if it does not say."""
    found = _KEEP_ALIVE.search(raw.lower())
    return _announced_in(found[1]) if found else 0


def _announced_in(value: bytes) -> int:
    found = _IDLE_SECONDS.search(value)
    return int(found[1]) if found else 0


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


def refuse_early(start: bytes | bytearray) -> None:
    """Raise `Malformed` on the beginning of a head that cannot become one, however it goes on.

    A server that speaks another protocol may never send the end of a head.
    """
    if b"HTTP/1."[: len(start)] != start[:7]:
        raise Malformed(outcomes.NOT_HTTP)
    # All but the last byte of the end may have come.
    if len(start) > LARGEST_HEAD + len(HEAD_END) - 1:
        raise Malformed(outcomes.ENDLESS_HEADERS)
