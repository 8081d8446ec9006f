"""The framing of streams: the WHATWG text against a naive reading of it, in whatever pieces the bytes come."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.streaming.events import LARGEST_EVENT, Event, EventReader

# What lines are made of, and what tears them.
_PARTS = st.sampled_from(
    [
        *(b"data", b"data:", b"data: ", b"data:  ", b"event: ", b"event", b"id: ", b"id", b"retry: ", b"retry:"),
        *(b":", b": comment", b" ", b"x", b"12", b"\0", b"error", b"\xc3\xa9", b"\xff", b"{", b"\xef\xbb\xbf"),
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r"),
    ]
)
_STREAMS = st.lists(_PARTS, max_size=40).map(b"".join)


def _lines(stream: bytes) -> list[bytes]:
    """Return the lines that have ended, a character at a time."""
    lines, line, at = [], b"", 0
    while at < len(stream):
        end = next((mark for mark in (b"\r\n", b"\r", b"\n") if stream.startswith(mark, at)), b"")
        if end:
            lines.append(line)
        line = b"" if end else line + stream[at : at + 1]
        at += len(end) or 1
    return lines


def _naive(stream: bytes) -> tuple[list[tuple[bytes, bytes]], bytes, int | None]:
    """Read a whole stream as section 9.2.6 says: the events, the last event id, the reconnection time."""
    events: list[tuple[bytes, bytes]] = []
    data = kind = last_id = b""
    retry = None
    for line in _lines(stream.removeprefix(b"\xef\xbb\xbf")):
        if line == b"":
            if data != b"":
                events.append((kind, data.removesuffix(b"\n")))
            data = kind = b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                kind = value
            case b"data":
                data += value + b"\n"
            case b"id" if b"\0" not in value:
                last_id = value
            case b"retry" if re.fullmatch(rb"[0-9]+", value):
                retry = int(value)
    return events, last_id, retry


def _pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[low:high] for low, high in itertools.pairwise(places)]


@given(_STREAMS, st.lists(st.integers(min_value=0, max_value=400), max_size=60))
def test_events_are_those_of_the_standard_however_the_bytes_come(stream: bytes, cuts: list[int]):
    """Multi-line data, CR, LF and CR LF torn apart, a byte order mark, comments, ids, and no unfinished event."""
    stream = b": an event stream, not JSON\n" + stream if stream.lstrip(b" \r\n\xef\xbb\xbf")[:1] == b"{" else stream
    reader = EventReader()
    events = [event for piece in _pieces(stream, cuts) for event in reader.feed(piece)] + reader.end()
    expected, last_id, retry = _naive(stream)
    assert [(event.name, event.data) for event in events if not event.stray] == expected
    assert (reader.last_event_id, reader.reconnection_milliseconds) == (last_id, retry)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), _JSON, max_size=3), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.lists(st.integers(min_value=0, max_value=400), max_size=60),
)
def test_json_by_lines_comes_value_by_value(values: list[object], end: str, ended: bool, cuts: list[int]):  # noqa: FBT001 - drawn
    """Every line is a value; the last one needs no line end."""
    stream = end.join(json.dumps(value) for value in values).encode() + end.encode() * ended
    reader = EventReader()
    events = [event for piece in _pieces(stream, cuts) for event in reader.feed(piece)] + reader.end()
    assert [json.loads(event.data) for event in events] == values


def test_a_document_over_many_lines_is_one_event_at_its_end():
    """A server that does not stream answers with JSON for people to read."""
    reader = EventReader()
    document = json.dumps({"error": {"message": "no", "lines": list(range(5))}}, indent=2).encode()
    assert reader.feed(document[:30]) == []
    assert reader.feed(document[30:]) == []
    [event] = reader.end()
    assert json.loads(event.data)["error"]["message"] == "no"


def test_an_event_is_there_with_its_last_byte():
    """The empty line makes it, its CR included; the LF behind that is no second line."""
    reader = EventReader()
    assert reader.feed(b"data: a\r\n\r") == [Event(b"", b"a")]
    assert reader.feed(b"\n") == []
    assert reader.feed(b"data: b\n") == []
    assert reader.feed(b"\n") == [Event(b"", b"b")]


def test_what_servers_write_between_events_is_not_lost():
    """`error:` is no field of the standard, and neither is bare JSON; both are marked as strays."""
    reader = EventReader()
    events = reader.feed(b'data: a\n\nerror: {"code": 500}\n\n{"error": "x"}\n\nother: y\n\n')
    assert events == [
        Event(b"", b"a"),
        Event(b"error", b'{"code": 500}', stray=True),
        Event(b'{"error"', b'{"error": "x"}', stray=True),
    ]


@pytest.mark.parametrize(
    "piece", [b"x" * 65_536, b"data: " + b"x" * 65_530 + b"\n", b'{"a":' * 13_107, b"[\n" * 32_768, b":" * 65_536]
)
def test_what_is_kept_of_an_event_is_bounded(piece: bytes):
    """A line, an event, a value or a document without an end is too large, not a full memory."""
    reader = EventReader()
    fed = 0
    while not reader.too_large and fed < 3 * LARGEST_EVENT:
        reader.feed(piece)
        fed += len(piece)
    assert LARGEST_EVENT <= fed <= 2 * LARGEST_EVENT
