"""The body of a response that its caller reads as bytes: events of a stream as they come, or JSON at the end."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.failures import never_raising

if TYPE_CHECKING:
    from collections.abc import Callable

# A longer line or document is not read: memory stays bounded whatever a server sends. An image is as large.
_LIMIT_BYTES = 8_000_000


class BodyReader:
    """Calls `on_event` with the JSON of each event, or `on_document` with that of a body of this content type."""

    def __init__(self, content_type: str, on_event: Callable[[Any], None], on_document: Callable[[Any], None]) -> None:
        self._on_event = on_event
        self._on_document = on_document
        self._events = content_type.startswith("text/event-stream")
        self._document = content_type.startswith("application/json")
        self._kept = b""

    @never_raising
    def feed(self, data: bytes) -> None:
        """Read the next bytes."""
        if not (self._events or self._document):
            return
        self._kept += data
        if self._events:
            # https://html.spec.whatwg.org/multipage/server-sent-events.html: the data of an event stands in its lines.
            *lines, self._kept = self._kept.split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    _read(line[len(b"data:") :], self._on_event)
        if len(self._kept) > _LIMIT_BYTES:
            self._events = self._document = False
            self._kept = b""

    def end(self) -> None:
        """Read what is left."""
        if self._document:
            _read(self._kept, self._on_document)
            self._kept = b""


def _read(text: bytes, note: Callable[[Any], None]) -> None:
    with contextlib.suppress(ValueError):  # `[DONE]`, or no JSON at all
        note(json.loads(text))
