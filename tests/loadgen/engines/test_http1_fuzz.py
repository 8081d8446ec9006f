"""The HTTP/1.1 parser on answers that are nearly right: the same for every cut, and h11's opinion where both accept."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_loadgen.engines.http1.chunked import ChunkedBody
from perfloop_loadgen.engines.http1.head import LARGEST_HEAD, Malformed
from perfloop_loadgen.samples.histogram import Histogram
from perfloop_loadgen.samples.streams import StreamMeter
from perfloop_loadgen.streaming.events import EventReader
from tests.support.http1_oracle import cut, read, read_by_h11

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

STATUS_LINES = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 x"),
    *(b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Go", b"HTTP/1.1 103 Early", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 999"),
    *(b"HTTP/2 200", b"HTTP/1.1  200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 200\tOK", b"ICY 200 OK", b"", b"HTTP/1.2 200"),
)
FIELDS = (
    *(b"Content-Length: 5", b"content-length:5", b"Content-Length: 5, 5", b"Content-Length: 5, 6"),
    *(b"Content-Length: -1", b"Content-Length: 0", b"Content-Length: 99999999999999999999999", b"Content-Length: 5 "),
    *(b"Content-Length : 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked"),
    *(b"transfer-encoding: Chunked ", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, gzip"),
    *(b"Transfer-Encoding:\x0bchunked", b"Connection: close", b"Connection: keep-alive, close", b"X: y", b"X:"),
    *(
        b"X: \xff\x80",
        b"X: a\0b",
        b"X: a\rb",
        b" folded",
        b"\tfolded: x",
        b"no colon",
        b": no name",
        b"X: " + b"y" * 99,
    ),
)
CHUNKS = (
    *(b"5\r\nhello\r\n", b"5;a=b\r\nhello\r\n", b"05\r\nhello\r\n", b"5 \r\nhello\r\n", b"5\nhello\n"),
    *(b"5\r\nhello\n\r", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\nbroken\r\n\r\n", b"-5\r\nhello\r\n"),
    *(b"G\r\n", b"ffffffffffffffffff\r\n", b"6\r\nhello\r\n", b"4\r\nhello\r\n", b"\r\n", b"1\r\nx\r\n" * 40),
    *(b"0x5\r\nhello\r\n", b"0X5\r\nhello\r\n", b"+5\r\nhello\r\n", b"1_0\r\n", b"0x0\r\n\r\n", b"zz\r\n"),
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Draw an answer that is right, or wrong in a few places."""
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        end = draw(st.sampled_from([b"\r\n"] * 9 + [b"\n"]))
        lines = [draw(st.sampled_from(STATUS_LINES)), *draw(st.lists(st.sampled_from(FIELDS), max_size=4))]
        data += end.join(lines) + end * 2
        data += draw(
            st.one_of(st.just(b""), st.just(b"hello"), st.lists(st.sampled_from(CHUNKS), max_size=5).map(b"".join))
        )
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(data)))
        change = draw(st.one_of(st.binary(max_size=2), st.sampled_from([b"\r", b"\n", b"\0", b"\r\n", b":", b" "])))
        data = data[:place] + change + data[place + draw(st.integers(0, 2)) :]
    return data


@FUZZ
@given(answers(), st.lists(st.integers(0, 100_000), max_size=12), st.booleans())
def test_every_cut_gives_the_same_reading(data: bytes, cuts: list[int], closed: bool):  # noqa: FBT001 - drawn
    """Whole, in pieces, and byte by byte."""
    whole = read([data], closed=closed)
    assert read(cut(data, cuts), closed=closed) == whole
    assert read(cut(data, range(len(data))), closed=closed) == whole


@FUZZ
@given(answers())
def test_h11_reads_the_same_where_both_accept(data: bytes):
    """Ours refuses more (lines that end with LF, two framings of a body); what it accepts, it reads as h11 does."""
    ours, theirs = read([data], closed=True), read_by_h11(data)
    if ours.outcome or theirs.outcome or ours.status == 101 or not (ours.is_whole and theirs.is_whole):
        return
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    if ours.rest:
        assert theirs.rest == ours.rest


RIGHT = st.builds(
    lambda status, fields, body: (
        b"HTTP/1.1 %d Reason\r\n" % status
        + b"".join(b"%s: %s\r\n" % field for field in fields)
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body,
        status,
        body,
    ),
    st.integers(200, 599).filter(lambda status: status not in {204, 304}),
    st.lists(st.tuples(st.from_regex(rb"\AX-[a-z0-9-]{1,8}\Z"), st.from_regex(rb"\A[!-~]{0,20}\Z")), max_size=5),
    st.binary(max_size=200),
)


@FUZZ
@given(RIGHT)
def test_what_is_right_is_accepted_by_both(answer: tuple[bytes, int, bytes]):
    """Nothing that follows the grammar is refused."""
    data, status, body = answer
    for found in (read([data]), read_by_h11(data)):
        assert (found.outcome, found.status, found.body, found.is_whole) == ("", status, body, True)


@pytest.mark.parametrize("size", [LARGEST_HEAD - 1, LARGEST_HEAD, LARGEST_HEAD + 1, LARGEST_HEAD + 2, LARGEST_HEAD + 3])
@pytest.mark.parametrize("piece", [1000, 65_536, 65_537, 65_539, 1_000_000])
def test_the_limit_of_a_head_is_the_same_for_every_cut(size: int, piece: int):
    """To the byte."""
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "
    data = start + b"y" * (size - len(start)) + b"\r\n\r\n"
    found = read([data[at : at + piece] for at in range(0, len(data), piece)])
    assert found.outcome == ("endless_headers" if size > LARGEST_HEAD else "")


@pytest.mark.parametrize("kind", ["size", "trailer"])
def test_the_limits_of_a_line_are_the_same_for_every_cut(kind: str):
    """Around the limits of a chunk's size line and of the trailers."""
    limit = 4096 if kind == "size" else LARGEST_HEAD
    for size in range(limit - 3, limit + 3):
        start = b"0;" if kind == "size" else b"0\r\nX:"
        data = start + b"y" * (size - len(start)) + b"\r\n"
        found = {_limit_of(cut(data, cuts)) for cuts in ((), (3,), range(len(data) - 4, len(data)), (limit, limit - 1))}
        assert len(found) == 1


def _limit_of(pieces: list[bytes]) -> str:
    body = ChunkedBody()
    try:
        for piece in pieces:
            body.feed(piece)
    except Malformed as error:
        return error.outcome
    return ""


STREAMS = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\n", b"\r", b"\r\n", b"data:", b"data: x", b": comment", b"event: error", b"[DONE]", b"\xef\xbb\xbf"]
        ),
        st.sampled_from(
            [b'{"a": 1}', b'data: {"choices": [{"delta": []}]}', b'data: {"usage": {"completion_tokens": true}}']
        ),
        st.sampled_from(
            [b'data: {"choices": 7, "usage": []}', b'data: {"choices": [null, {"delta": "x", "text": 1}]}']
        ),
        st.binary(max_size=6),
    ),
    max_size=30,
).map(b"".join)


@FUZZ
@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
def test_every_cut_of_a_stream_has_the_same_events(data: bytes, cuts: list[int]):
    """Events and their outcome, whatever the pieces; and no bytes are an error."""
    found = set()
    for places in ((), cuts, range(len(data))):
        meter, reader = StreamMeter(), EventReader()
        assert all(meter.feed(piece, 1) for piece in cut(data, places))
        events = [event for piece in cut(data, places) for event in reader.feed(piece)]
        found.add((*events, *reader.end(), meter.end(1)))
    assert len(found) == 1


@FUZZ
@given(st.lists(st.integers(-(10**30), 10**30), min_size=1, max_size=50), st.floats(0, 1))
def test_a_histogram_takes_every_number(values: list[int], quantile: float):
    """Those outside of a day are counted at its ends; merging keeps the count."""
    one, other = Histogram(), Histogram()
    for value in values:
        one.record(value)
    other.merge(one)
    other.merge(one)
    assert other.count == 2 * len(values)
    found = other.quantile_seconds(quantile)
    assert found is not None
    assert 0 <= found <= 90_000
    assert other.quantile_seconds(quantile) == one.quantile_seconds(quantile)
