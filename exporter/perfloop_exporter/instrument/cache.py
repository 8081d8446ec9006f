"""Cache metrics: reads, hits, and the duration, waits and errors of each operation."""

from __future__ import annotations

from typing import Self

from perfloop_exporter.instrument.failures import error_kind, never_raising, note_failure
from perfloop_exporter.instrument.traces import observe
from perfloop_exporter.instrument.waits import RequestWait, is_waiting
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.metrics.timing import TimedBlock

REQUESTS = DEFAULT.counter("cache_requests_total", "Reads of the cache.", ("cache",))
HITS = DEFAULT.counter("cache_hits_total", "Reads that were hits.", ("cache",))
OPERATION_DURATION = DEFAULT.histogram(
    "cache_operation_duration_seconds",
    "Duration of cache operations, without those that wait as they are asked to.",
    ("cache", "operation"),
)
OPERATION_ERRORS = DEFAULT.counter(
    "cache_operation_errors_total", "Cache operations that raised.", ("cache", "operation", "error_type")
)
WAIT_SECONDS = DEFAULT.histogram(
    "cache_wait_seconds", "Waits that the caller asked for, such as a blocking read of a queue.", ("cache", "operation")
)

# Redis commands that wait for another client or for replicas (https://redis.io/docs/latest/commands/), whatever their
# arguments. XREAD and XREADGROUP wait only with BLOCK.
WAITING_COMMANDS = frozenset(
    {
        *("blpop", "brpop", "brpoplpush", "blmove", "blmpop", "bzpopmin", "bzpopmax", "bzmpop"),
        *("wait", "waitaof", "subscribe", "psubscribe", "ssubscribe", "monitor"),
    }
)


class CacheMetrics:
    """The metrics of one cache: `with metrics.operation("get") as op: op.hit = True`."""

    def __init__(self, cache: str) -> None:
        self.cache = cache
        # Created now: the rate of a cache that is never read is 0, not missing.
        self._requests = REQUESTS.labels(cache)
        self._hits = HITS.labels(cache)

    def operation(self, operation: str, *, waits: bool = False) -> CacheOperation:
        """Time one operation; it counts as a read when `.hit` is set to True or False in the block.

        With `waits` it is a wait that the caller asked for, as Redis's blocking commands are by their name.
        """
        return CacheOperation(self, operation, waits=waits)

    @never_raising
    def count_reads(self, reads: int, hits: int) -> None:
        """Count reads, and how many of them were hits."""
        self._requests.inc(reads)
        self._hits.inc(hits)


class CacheOperation(TimedBlock):
    """The timing of one operation."""

    __slots__ = ("_metrics", "_operation", "_wait", "_waits", "hit")

    def __init__(self, metrics: CacheMetrics, operation: str, *, waits: bool = False) -> None:
        self._metrics = metrics
        self._operation = operation
        # Whatever an application hands over: of what is no text, nothing may be asked here.
        self._waits = waits or (type(operation) is str and operation in WAITING_COMMANDS)
        self._wait: RequestWait | None = None
        self.hit: bool | None = None

    def __enter__(self) -> Self:
        self._waits = self._waits or is_waiting()
        if self._waits:
            self._wait = RequestWait()
        return super().__enter__()

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """Record the operation."""
        try:
            self._record(seconds, error)
        except Exception as failure:  # noqa: BLE001 - measuring must not fail the cache
            note_failure(failure)

    def _record(self, seconds: float, error: BaseException | None) -> None:
        labels = (self._metrics.cache, self._operation)
        if self._wait is not None:
            self._wait.end()
        if self._waits:
            WAIT_SECONDS.labels(*labels).observe(seconds)
        else:
            observe(OPERATION_DURATION.labels(*labels), seconds)
        if error is None:
            if self.hit is not None:
                self._metrics.count_reads(1, int(bool(self.hit)))
        # A worker that is stopped while it waits has not failed.
        elif not self._waits or isinstance(error, Exception):
            OPERATION_ERRORS.labels(*labels, error_kind(error)).inc()
