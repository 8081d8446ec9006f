"""Cache metrics: reads, hits, and the duration and errors of each operation."""

from __future__ import annotations

from perfloop_exporter.instrument.failures import never_raising, note_failure
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.metrics.timing import TimedBlock

REQUESTS = DEFAULT.counter("cache_requests_total", "Reads of the cache.", ("cache",))
HITS = DEFAULT.counter("cache_hits_total", "Reads that were hits.", ("cache",))
OPERATION_DURATION = DEFAULT.histogram(
    "cache_operation_duration_seconds", "Duration of cache operations.", ("cache", "operation")
)
OPERATION_ERRORS = DEFAULT.counter(
    "cache_operation_errors_total", "Cache operations that raised.", ("cache", "operation")
)


class CacheMetrics:
    """The metrics of one cache: `with metrics.operation("get") as op: op.hit = True`."""

    def __init__(self, cache: str) -> None:
        self.cache = cache
        # Created now: the rate of a cache that is never read is 0, not missing.
        self._requests = REQUESTS.labels(cache)
        self._hits = HITS.labels(cache)

    def operation(self, operation: str) -> CacheOperation:
        """Time one operation; it counts as a read when `.hit` is set to True or False in the block."""
        return CacheOperation(self, operation)

    @never_raising
    def count_reads(self, reads: int, hits: int) -> None:
        """Count reads, and how many of them were hits."""
        self._requests.inc(reads)
        self._hits.inc(hits)


class CacheOperation(TimedBlock):
    """The timing of one operation."""

    __slots__ = ("_metrics", "_operation", "hit")

    def __init__(self, metrics: CacheMetrics, operation: str) -> None:
        self._metrics = metrics
        self._operation = operation
        self.hit: bool | None = None

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """Record the operation."""
        try:
            OPERATION_DURATION.labels(self._metrics.cache, self._operation).observe(seconds)
            if error is not None:
                OPERATION_ERRORS.labels(self._metrics.cache, self._operation).inc()
            elif self.hit is not None:
                self._metrics.count_reads(1, int(bool(self.hit)))
        except Exception as failure:  # noqa: BLE001 - measuring must not fail the cache
            note_failure(failure)
