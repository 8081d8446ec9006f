"""Database client metrics, and the block for drivers without an instrumentation of their own."""

from __future__ import annotations

from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.metrics.timing import TimedBlock

_LABELS = ("db_system_name", "db_operation_name")

OPERATION_DURATION = DEFAULT.histogram(
    "db_client_operation_duration_seconds", "Duration of database client operations.", _LABELS
)
OPERATION_ERRORS = DEFAULT.counter(
    "db_client_operation_errors_total", "Database client operations that raised.", _LABELS
)


@never_raising
def count_operation(system: str, operation: str, seconds: float, error: BaseException | None) -> None:
    """Record one operation; `system` and `operation` are label values."""
    OPERATION_DURATION.labels(system, operation).observe(seconds)
    if error is not None:
        OPERATION_ERRORS.labels(system, operation).inc()


class db_operation(TimedBlock):  # noqa: N801 - reads as a function: `with db_operation("vector", "search"):`
    """Time one operation: `with db_operation("vector", "search"):`, or `async with`."""

    __slots__ = ("operation", "system")

    def __init__(self, system: str, operation: str) -> None:
        self.system = system
        self.operation = operation

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """Record the operation."""
        count_operation(self.system, self.operation, seconds, error)
