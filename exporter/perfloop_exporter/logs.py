"""One line per event on stderr, as logfmt or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

# What every record carries; the rest came by `extra` and is told as fields.
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
LEVELS = ("debug", "info", "warn", "error")


class Formatter(logging.Formatter):
    """Writes a record as one line."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, then the fields of the event."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": "warn" if record.levelno == logging.WARNING else record.levelname.lower(),
            "msg": record.getMessage(),
        }
        event.update((name, value) for name, value in vars(record).items() if name not in PLAIN)
        if record.exc_info:
            event["trace"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(event, default=str)
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in event.items())


def _quoted(text: str) -> str:
    if text and not any(character in text for character in ' "=\n'):
        return text
    return json.dumps(text, ensure_ascii=False)


def set_up(level: str, log_format: str) -> None:
    """Send the exporter's events to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(as_json=log_format == "json"))
    root = logging.getLogger("exporter")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel({"warn": logging.WARNING}.get(level, level.upper()))
