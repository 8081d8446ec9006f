"""One line per event on stderr, as logfmt or as JSON, for every program.

No line shows a secret, whoever logs it, and nothing that came from outside breaks a line or moves a terminal's cursor.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_base.flags import flag
from perfloop_base.redaction import redact, redact_mapping
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from types import TracebackType

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
            "msg": _message(record),
        }
        event.update((name, value) for name, value in vars(record).items() if name not in _PLAIN)
        if record.exc_info:
            event["trace"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = self.formatStack(record.stack_info)
        safe = redact_mapping({str(name): _as_data(value) for name, value in event.items()})
        if self._as_json:
            return json.dumps(_visible_data(safe))
        return " ".join(f"{visible(name)}={_quoted(_as_text(value))}" for name, value in safe.items())


def _message(record: logging.LogRecord) -> str:
    """Return the message; arguments that do not fit it are shown beside it, since a program must not lose the event."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"


def _as_data(value: Any) -> Any:
    """Return a value as JSON has it; what JSON does not know becomes its text."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _as_data(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_data(inner) for inner in value]
    return str(value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _visible_data(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value, newlines=True)  # JSON escapes them: a trace keeps its lines for who decodes it
    if isinstance(value, dict):
        return {visible(name): _visible_data(inner) for name, inner in value.items()}
    return [_visible_data(inner) for inner in value] if isinstance(value, list) else value


def _quoted(text: str) -> str:
    if text and text.isprintable() and not any(character in text for character in ' "='):
        return visible(text)
    # Newlines become `\n` here; JSON's own escapes for other characters would look different from everything else.
    return json.dumps(visible(text, newlines=True), ensure_ascii=False)


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


def guard_tracebacks() -> None:
    """Let the tracebacks that Python writes for uncaught exceptions, of threads too, show no secret.

    A hook that somebody has set, such as a test runner's, stays.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show_exception
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _show_thread_exception


def _show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(visible(redact(text), newlines=True))


def _show_thread_exception(given: threading.ExceptHookArgs) -> None:
    if given.exc_type is SystemExit or given.exc_value is None:
        return
    name = given.thread.name if given.thread else "unknown"
    sys.stderr.write(visible(f"Exception in thread {name}:") + "\n")
    _show_exception(given.exc_type, given.exc_value, given.exc_traceback)
