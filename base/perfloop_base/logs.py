"""One line per event on stderr, as logfmt or as JSON, for every program."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass
from typing import Any

from perfloop_base.flags import flag

LEVELS = ("debug", "info", "warn", "error")
FORMATS = ("logfmt", "json")

# What every record carries; the rest came by `extra` and becomes fields of the line.
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# Libraries that log a line for each request or statement at level info.
_NOISY = ("httpx", "httpcore", "alembic", "mail", "uvicorn", "asyncio")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The flags that every program has."""

    level: str = flag("--log.level", "info", choices=LEVELS, help="minimum log level")
    format: str = flag("--log.format", "logfmt", choices=FORMATS, help="format of the log lines")


class Formatter(logging.Formatter):
    """Writes a record as one line: time, level, message, then the fields of the event."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": "warn" if record.levelno == logging.WARNING else record.levelname.lower(),
            "msg": record.getMessage(),
        }
        event.update((name, value) for name, value in vars(record).items() if name not in _PLAIN)
        if record.exc_info:
            event["trace"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(event, default=str)
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in event.items())


def _quoted(text: str) -> str:
    if text and not any(character in text for character in ' "=\n'):
        return text
    return json.dumps(text, ensure_ascii=False)


def set_up(level: str = "info", log_format: str = "logfmt") -> None:
    """Send every event from `level` on to stderr; chatty libraries log warnings only, unless the level is debug."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(as_json=log_format == "json"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    number = logging.WARNING if level == "warn" else logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    for name in _NOISY:
        logging.getLogger(name).setLevel(number if level == "debug" else max(number, logging.WARNING))
