"""Failures of the instrumentation itself: counted, logged once, and never raised into the measured call."""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, ParamSpec

from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry
from perfloop_exporter.metrics.text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.metrics.series import CounterSeries

log = logging.getLogger("perfloop")
P = ParamSpec("P")


def failures_in(registry: MetricRegistry) -> CounterSeries:
    """Return the registry's counter of such failures."""
    return registry.counter(
        "perfloop_instrumentation_errors_total", "Calls that succeeded but were not measured completely."
    ).labels()


_MAX_CAUSES = 8
_MESSAGE_LIMIT = 500
# Classes of database and cache drivers for whatever goes wrong with a connection: PEP 249's, and redis-py's.
_GENERAL = frozenset({"OperationalError", "InterfaceError", "DatabaseError", "ConnectionError", "Error"})
# What servers and operating systems say, and the name of Python or psycopg for it.
_KINDS = (
    (("connection refused",), "ConnectionRefusedError"),
    (("timeout expired", "timed out"), "TimeoutError"),
    (("name or service not known", "could not translate host name", "failed to resolve host"), "gaierror"),
    (("password authentication failed", "access denied"), "InvalidPassword"),
    (("too many clients", "too many connections", "connection slots are reserved"), "TooManyConnections"),
    (("no such file or directory", "unable to open database file"), "FileNotFoundError"),
    (("connection reset", "server closed the connection"), "ConnectionResetError"),
)

_failures = failures_in(DEFAULT)


def note_failure(error: Exception, counter: CounterSeries = _failures) -> None:
    """Count a failure and log the first one; ignores failures of its own."""
    with contextlib.suppress(Exception):
        counter.inc()
        if counter.total == 1:
            what = f"{type(error).__name__}: {text_of(error)}"
            log.warning("A call succeeded but was not measured completely (further ones are only counted): %r", what)


def never_raising(function: Callable[P, None]) -> Callable[P, None]:
    """Decorate a hook so that its exceptions are counted instead of raised."""

    @functools.wraps(function)
    def harmless(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a hook must not fail its caller
            note_failure(error)

    return harmless


def error_kind(error: BaseException) -> str:
    """Return OpenTelemetry's `error.type`: the class of what was raised, or what a driver's general class stands for.

    PostgreSQL's drivers, for one, raise OperationalError for a refused connection and for a wrong password alike: the
    operating system's error in the chain of causes, or the server's own words, say which.
    """
    seen: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if isinstance(seen, OSError) and type(seen) is not OSError:
            return type(seen).__qualname__
        seen = None if seen is None else seen.__cause__ or seen.__context__
    if type(error).__name__ in _GENERAL:
        message = text_of(error, _MESSAGE_LIMIT).lower()
        for words, kind in _KINDS:
            if any(word in message for word in words):
                return kind
    return type(error).__qualname__
