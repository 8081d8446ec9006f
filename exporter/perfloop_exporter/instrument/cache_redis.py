"""`instrument_redis(client)`: the duration of commands and pipelines, and the hits of reads."""

from __future__ import annotations

from typing import Any

from perfloop_exporter.instrument.cache import CacheMetrics, CacheOperation
from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.wrapping import measure_method

# Reads of one value, for which None is a miss; and of many, which count as one read per value.
_READS = frozenset({"GET", "GETEX", "GETDEL", "HGET", "LINDEX", "ZSCORE", "JSON.GET"})
_MANY = frozenset({"MGET", "HMGET"})


def instrument_redis(client: Any, cache: str = "redis") -> None:
    """Measure a `redis.Redis` or `redis.asyncio.Redis` client; `cache` is its label value."""
    metrics = CacheMetrics(cache)
    measure_method(client, "execute_command", lambda *args, **_options: _Command(metrics, str(args[0])))
    if hasattr(client, "pipeline"):
        measure_method(client, "pipeline", lambda *_args, **_options: _Pipeline(metrics))


class _Command:
    """One command."""

    def __init__(self, metrics: CacheMetrics, name: str) -> None:
        self._metrics = metrics
        self._name = name.partition(" ")[0].upper()
        self._operation: CacheOperation = metrics.operation(self._name.lower()).__enter__()

    def finished(self, answer: Any) -> None:
        """Record the command, and the hits of a read."""
        if self._name in _READS:
            self._operation.hit = answer is not None
        self._operation.__exit__(None, None, None)
        if self._name in _MANY:
            self._metrics.count_reads(len(answer), sum(value is not None for value in answer))

    def failed(self, error: BaseException) -> None:
        """Record the failed command: Redis reported an error, or the connection failed."""
        self._operation.__exit__(type(error), error, None)


class _Pipeline:
    """The creation of a pipeline; measured is its execution."""

    def __init__(self, metrics: CacheMetrics) -> None:
        self._metrics = metrics

    def finished(self, pipeline: Any) -> None:
        """Measure the pipeline's `execute` as one operation."""
        measure_method(pipeline, "execute", lambda *_args, **_options: _Command(self._metrics, "pipeline"))

    @never_raising
    def failed(self, _error: BaseException) -> None:
        """Do nothing: there is no pipeline."""
