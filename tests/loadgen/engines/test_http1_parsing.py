"""The HTTP/1.1 parser alone: whatever the pieces in which an answer comes, it is the same answer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.engines.http1.head import Heads, Malformed, idle_seconds, parse_head
from perfloop_loadgen.engines.http1.message import Message
from perfloop_loadgen.ports import Head

BODIES = st.binary(max_size=300)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at positions, given as numbers of any size."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


def _read(pieces: list[bytes]) -> tuple[Message, bytes]:
    message = Message(Heads(), bodiless=False)
    return message, b"".join(part for piece in pieces for part in message.feed(piece))


@given(BODIES, st.lists(st.integers(0, 10_000), max_size=8))
def test_a_body_with_a_length_survives_any_cut(body: bytes, cuts: list[int]):
    """Head and body cut anywhere."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    message, read = _read(_cut(answer, cuts))
    assert (read, message.done, message.rest, message.size) == (body, True, b"", len(answer))


@given(st.lists(BODIES.filter(bool), max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_a_chunked_body_survives_any_cut(chunks: list[bytes], cuts: list[int]):
    """Also within the size of a chunk, and between CR and LF."""
    framed = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\nTrailer: x\r\n\r\n"
    message, read = _read(_cut(answer, cuts))
    assert (read, message.done, message.rest) == (b"".join(chunks), True, b"")


@given(BODIES)
def test_bytes_after_the_answer_are_kept_apart(extra: bytes):
    """What comes after the last byte of the answer is not part of it."""
    message, read = _read([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + extra])
    assert (read, message.rest) == (b"ok", extra)


@pytest.mark.parametrize(
    ("fields", "length", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12", 12, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length: 3", 3, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", Head.CHUNKED, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip", Head.UNTIL_CLOSE, True),
        (b"HTTP/1.1 200 OK", Head.UNTIL_CLOSE, True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5", 0, True),
        (b"HTTP/1.1 304 Not Modified", 0, True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0", 0, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", 0, False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0", 0, True),
        # What a client may accept: LF alone, equal lengths, a space before the colon, a later minor version.
        (b"HTTP/1.1 200 OK\nContent-Length: 12\nX: y", 12, True),
        (b"HTTP/1.1 200 OK\nConnection: close\r\nContent-Length: 12", 12, False),
        (b"HTTP/1.1 200 OK\nX: long\n folded\nContent-Length: 3", 3, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2", 2, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2,2\r\nContent-Length: 2", 2, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 7", 7, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding\t: chunked", Head.CHUNKED, True),
        (b"HTTP/1.7 200 OK\r\nContent-Length: 7", 7, True),
        (b"HTTP/1.1 200 OK\r\nConnection: te, Close\r\nContent-Length: 7", 7, False),
    ],
)
def test_heads(fields: bytes, length: int, keep_alive: bool):  # noqa: FBT001 - a table's column
    """How long the body is, and whether the connection stays (RFC 9112)."""
    head = parse_head(fields)
    assert (head.length, head.keep_alive) == (length, keep_alive)


def test_heads_that_repeat_are_parsed_once():
    """One object for equal bytes; the memory for them is bounded."""
    heads = Heads()
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1"
    assert heads.read(raw) is heads.read(raw)
    for number in range(2000):
        heads.read(b"HTTP/1.1 200 OK\r\nX-Id: %d" % number)
    assert len(heads) <= 512


HEADS = st.lists(st.sampled_from([b"X: y", b"Server: a b", b"X-Empty:", b"Date: Sun, 29 Nov 2026"]), max_size=4)


@given(
    HEADS,
    st.lists(st.sampled_from([b"\r\n", b"\n"]), min_size=7, max_size=7),
    BODIES,
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_lines_may_end_with_lf_alone(fields: list[bytes], ends: list[bytes], body: bytes, cuts: list[int]):
    """RFC 9112, section 2.2: each line for itself, cut anywhere, whatever the body begins with."""
    lines = [b"HTTP/1.1 200 OK", *fields, b"Content-Length: %d" % len(body), b""]
    answer = b"".join(line + end for line, end in zip(lines, ends, strict=False)) + body
    message, read = _read(_cut(answer, cuts))
    assert (read, message.done, message.rest, message.size) == (body, True, b"", len(answer))
    assert message.head is not None
    # Checks and extracts read the head by its lines.
    assert message.head.raw.split(b"\r\n") == lines[:-1]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_trailers_may_end_with_lf_alone(end: bytes):
    """They are fields as those of the head; a chunk's size is not."""
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    message, read = _read([start + b"2\r\nok\r\n0\r\nX: y" + end + b"Z:" + end + end])
    assert (read, message.done, message.rest) == (b"ok", True, b"")
    with pytest.raises(Malformed):
        _read([start + b"2\nok\n0\n\n"])


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (b"Keep-Alive: timeout=5", 5),
        (b"keep-alive: max=100, timeout=15", 15),
        (b"Keep-Alive: TIMEOUT=2,max=1", 2),
        (b"Keep-Alive: max=100", 0),
        (b"Keep-Alive: timeout=soon", 0),
        (b"X-Keep-Alive: timeout=5", 0),
    ],
)
def test_how_long_a_connection_is_kept(field: bytes, seconds: int):
    """What a server says of its idle connections."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + field
    assert parse_head(raw).idle_seconds == idle_seconds(raw) == seconds
    heard: list[int] = []
    Heads(heard.append).read(raw)
    assert heard == [seconds][: bool(seconds)]


@pytest.mark.parametrize("start", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/2", b"\x15\x03\x01"])
def test_another_protocol_is_refused_by_its_first_bytes(start: bytes):
    """Without waiting for the end of a head that never comes."""
    with pytest.raises(Malformed, match=r"the answer was not HTTP/1\.1"):
        Message(Heads(), bodiless=False).feed(start)
