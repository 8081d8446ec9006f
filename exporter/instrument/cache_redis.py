"""`instrument_redis(client)`: every command's duration, and hits and misses of the reads."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from exporter.instrument.cache import CacheMetrics, CacheOperation

_READS = frozenset({"GET", "GETEX", "HGET", "GETDEL"})


def instrument_redis(client: Any, cache: str = "redis") -> None:
    """Measure a `redis.Redis` or `redis.asyncio.Redis` client."""
    metrics = CacheMetrics(cache)
    original = client.execute_command

    def note(operation: CacheOperation, command: str, answer: Any) -> None:
        if command in _READS:
            operation.hit = answer is not None

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def execute(*args: Any, **options: Any) -> Any:
            command = str(args[0]).upper()
            with metrics.operation(command.lower()) as operation:
                answer = await original(*args, **options)
                note(operation, command, answer)
            return answer

    else:

        @functools.wraps(original)
        def execute(*args: Any, **options: Any) -> Any:
            command = str(args[0]).upper()
            with metrics.operation(command.lower()) as operation:
                answer = original(*args, **options)
                note(operation, command, answer)
            return answer

    client.execute_command = execute
