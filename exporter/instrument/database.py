"""Database client metrics, and the context manager for drivers that have no hook."""

from __future__ import annotations

import time
from typing import Self

from exporter.metrics.registry import DEFAULT

OPERATION_DURATION = DEFAULT.histogram(
    "db_client_operation_duration_seconds",
    "Duration of database client operations.",
    ("db_system_name", "db_operation_name"),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class db_operation:  # noqa: N801 - reads as a function: `with db_operation("vector", "search"):`
    """Time one operation: `with db_operation("vector", "search"):`, `async with` as well."""

    __slots__ = ("_series", "_start")

    def __init__(self, system: str, operation: str) -> None:
        self._series = OPERATION_DURATION.labels(system, operation)
        self._start = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        self._series.observe(time.perf_counter() - self._start)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)
