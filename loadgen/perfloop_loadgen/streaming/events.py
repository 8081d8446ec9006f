"""The framing of a streamed answer: server-sent events (WHATWG HTML, section 9.2.6), or JSON by lines."""

from __future__ import annotations

from typing import NamedTuple

import orjson

# Above the largest events of real services, images as base64.
LARGEST_EVENT = 4 * 1024 * 1024
_MOST_DIGITS = 4000
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event; `stray` marks a line that the standard ignores, but that servers write errors in.

    These are `error: …`, and JSON without `data:` before it.
    """

    name: bytes
    data: bytes
    stray: bool = False


class EventReader:
    """Cuts the bytes of an answer into events, in whatever pieces they come.

    A line ends with CR LF, LF or CR. An event without the empty line behind it is never there: what its stream ends in
    is cut off. Where the first line begins with `{` or `[`, which no field of an event does, the answer is JSON: one
    value on each line, or one document over many lines. The work is linear in the bytes, and what is kept is at most
    one event of LARGEST_EVENT.
    """

    __slots__ = (
        "_after_cr",
        "_begun",
        "_data",
        "_document",
        "_json",
        "_line",
        "_name",
        "_size",
        "last_event_id",
        "reconnection_milliseconds",
    )

    def __init__(self) -> None:
        self._line = bytearray()  # a line that has begun
        self._begun = False  # whether the byte order mark is behind
        self._after_cr = False
        self._json: bool | None = None  # None: no line has said yet
        self._document = bytearray()  # JSON that is none by lines
        self._data: list[bytes] = []  # the data lines of the event under way
        self._name = b""
        self._size = 0
        self.last_event_id = b""
        self.reconnection_milliseconds: int | None = None

    @property
    def too_large(self) -> bool:
        """Return whether an event under way is larger than LARGEST_EVENT."""
        return len(self._line) + self._size > LARGEST_EVENT

    def feed(self, data: bytes) -> list[Event]:
        """Return the events whose last byte is in this piece; once `too_large` is true, there will be no more."""
        if not self._begun:
            data = self._without_mark(data)
        if not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the other half of CR LF
            self._after_cr = False
            if not data:
                return []
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()  # of bytes: at CR, LF and CR LF alone
        rest = b"" if self._after_cr or data.endswith(b"\n") else lines.pop()
        events: list[Event] = []
        if lines and self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        for line in lines:
            self._take_line(line, events)
            if self._size > LARGEST_EVENT:
                return events
        self._line += rest
        return events

    def end(self) -> list[Event]:
        """Return what the end of the answer completes: the last value of JSON, which needs no line end."""
        line = bytes(self._line)
        self._line.clear()
        events: list[Event] = []
        if line and self._json is not False and (self._json or _begins_json(line)):
            self._take_json(line, events)
        if self._document:
            events.append(Event(b"", bytes(self._document)))
            self._document.clear()
        return events

    def _without_mark(self, data: bytes) -> bytes:
        """Return the bytes behind one leading byte order mark; none while it is not clear whether there is one."""
        data = bytes(self._line) + data
        self._line.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._line += data
            return b""
        self._begun = True
        return data.removeprefix(_BOM)

    def _take_line(self, line: bytes, events: list[Event]) -> None:
        if self._json is None and line:
            self._json = _begins_json(line)
        if self._json:
            self._take_json(line, events)
        elif not line:
            self._dispatch(events)
        else:
            self._take_field(line, events)

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(Event(self._name, data))
            self._data = []
        self._name = b""
        self._size = 0

    def _take_field(self, line: bytes, events: list[Event]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(line)
        elif name == b"event":
            self._name = value
        elif name == b"id" and b"\0" not in value:
            self.last_event_id = value
        elif name == b"retry" and value.isdigit():
            # Longer ones are no time, and the interpreter refuses to read them.
            self.reconnection_milliseconds = int(value[:_MOST_DIGITS])
        elif name == b"error" or name.startswith(b"{"):
            events.append(Event(name, value if name == b"error" else line, stray=True))

    def _take_json(self, line: bytes, events: list[Event]) -> None:
        if not self._document and (not line.strip() or _is_json(line)):
            if line.strip():
                events.append(Event(b"", line))
            return
        self._document += line + b"\n"
        self._size = len(self._document)


def _begins_json(line: bytes) -> bool:
    return line.lstrip().startswith((b"{", b"["))


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True
