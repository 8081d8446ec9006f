"""Database client metrics, and the block for drivers without an instrumentation of their own."""

from __future__ import annotations

from typing import Self

from perfloop_exporter.instrument.failures import error_kind, never_raising
from perfloop_exporter.instrument.traces import observe
from perfloop_exporter.instrument.waits import RequestWait, is_waiting
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.metrics.timing import TimedBlock

_LABELS = ("db_system_name", "db_operation_name")

OPERATION_DURATION = DEFAULT.histogram(
    "db_client_operation_duration_seconds",
    "Duration of database client operations, without those that wait as they are asked to.",
    _LABELS,
)
OPERATION_ERRORS = DEFAULT.counter(
    "db_client_operation_errors_total", "Database client operations that raised.", (*_LABELS, "error_type")
)
WAIT_SECONDS = DEFAULT.histogram(
    "db_client_wait_seconds", "Waits that the caller asked the database for, such as SELECT pg_sleep(1).", _LABELS
)


@never_raising
def count_operation(
    system: str, operation: str, seconds: float, error: BaseException | None, *, waits: bool = False
) -> None:
    """Record one operation; `system` and `operation` are label values."""
    if waits:
        WAIT_SECONDS.labels(system, operation).observe(seconds)
    else:
        observe(OPERATION_DURATION.labels(system, operation), seconds)
    if error is not None:
        count_error(system, operation, error)


@never_raising
def count_error(system: str, operation: str, error: BaseException) -> None:
    """Count an operation that raised `error`."""
    OPERATION_ERRORS.labels(system, operation, error_kind(error)).inc()


class db_operation(TimedBlock):  # noqa: N801 - reads as a function: `with db_operation("vector", "search"):`
    """Time one operation: `with db_operation("vector", "search"):`, or `async with`.

    With `waits` it is a wait that the caller asked for, such as the next notification: no latency.
    """

    __slots__ = ("_wait", "_waits", "operation", "system")

    def __init__(self, system: str, operation: str, *, waits: bool = False) -> None:
        self.system = system
        self.operation = operation
        self._waits = waits
        self._wait: RequestWait | None = None

    def __enter__(self) -> Self:
        self._waits = self._waits or is_waiting()
        if self._waits:
            self._wait = RequestWait()
        return super().__enter__()

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """Record the operation."""
        if self._wait is not None:
            self._wait.end()
        if self._waits and not isinstance(error, Exception):
            error = None  # who is stopped while waiting has not failed
        count_operation(self.system, self.operation, seconds, error, waits=self._waits)
