"""Cache metrics: requests, hits and the duration of each operation."""

from __future__ import annotations

import time
from typing import Self

from exporter.metrics.registry import DEFAULT

REQUESTS = DEFAULT.counter("cache_requests_total", "Reads asked of the cache.", ("cache",))
HITS = DEFAULT.counter("cache_hits_total", "Reads that the cache answered.", ("cache",))
OPERATION_DURATION = DEFAULT.histogram(
    "cache_operation_duration_seconds",
    "Duration of cache operations.",
    ("cache", "operation"),
    (0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)


class CacheMetrics:
    """The metrics of one cache: `with metrics.operation("get") as op: op.hit = True`."""

    def __init__(self, cache: str) -> None:
        self.cache = cache
        self.requests = REQUESTS.labels(cache)
        self.hits = HITS.labels(cache)

    def operation(self, operation: str) -> CacheOperation:
        """Time one operation; setting `.hit` makes it count as a read."""
        return CacheOperation(self, operation)


class CacheOperation:
    """One operation under way."""

    __slots__ = ("_metrics", "_operation", "_start", "hit")

    def __init__(self, metrics: CacheMetrics, operation: str) -> None:
        self._metrics = metrics
        self._operation = operation
        self._start = 0.0
        self.hit: bool | None = None

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        seconds = time.perf_counter() - self._start
        OPERATION_DURATION.labels(self._metrics.cache, self._operation).observe(seconds)
        if self.hit is not None:
            self._metrics.requests.inc()
            if self.hit:
                self._metrics.hits.inc()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)
