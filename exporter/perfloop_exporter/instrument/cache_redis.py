"""`instrument_redis(client)`: the duration of commands and pipelines, and the hits of reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_exporter.instrument.cache import WAITING_COMMANDS, CacheMetrics, CacheOperation
from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.wrapping import measure_method

if TYPE_CHECKING:
    from collections.abc import Sequence

# Reads of one value, for which None is a miss; and of many, which count as one read per value.
_READS = frozenset({"GET", "GETEX", "GETDEL", "HGET", "LINDEX", "ZSCORE", "JSON.GET"})
_MANY = frozenset({"MGET", "HMGET"})
# Reads of streams, and how many words of theirs come before the options, of which BLOCK is one.
_STREAM_READS = {"XREAD": 1, "XREADGROUP": 4}

# Attributes of pipelines that are sent as one transaction: plain clients' first, then async clients', then both's.
_TRANSACTION = ("transaction", "is_transaction", "explicit_transaction")


def instrument_redis(client: Any, cache: str = "redis") -> None:
    """Measure a `redis.Redis` or `redis.asyncio.Redis` client; `cache` is its label value."""
    metrics = CacheMetrics(cache)
    measure_method(
        client, "execute_command", lambda *args, **_options: _Command(metrics, _name(args), asked_to_wait(args))
    )
    if hasattr(client, "pipeline"):
        measure_method(client, "pipeline", lambda *_args, **_options: _Pipeline(metrics))


def asked_to_wait(args: Sequence[Any]) -> bool:
    """Return whether a command, the name and what follows, blocks until something happens elsewhere."""
    name = _name(args)
    if name.lower() in WAITING_COMMANDS:
        return True
    if name == "DEBUG":
        return "SLEEP" in map(_word, [*_word(args[0]).split()[1:], *args[1:2]])
    before = _STREAM_READS.get(name)
    if before is None:
        return False
    for word in map(_word, args[before:]):
        if word in {"BLOCK", "STREAMS"}:
            return word == "BLOCK"
    return False


def _name(args: Sequence[Any]) -> str:
    return _word(args[0]).partition(" ")[0]


def _word(value: Any) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes | bytearray) else str(value)
    return text.strip().upper()


class _Command:
    """One command, or one pipeline."""

    def __init__(self, metrics: CacheMetrics, name: str, waits: bool) -> None:  # noqa: FBT001 - one fact
        self._metrics = metrics
        self._name = name
        self._operation: CacheOperation = metrics.operation(name.lower(), waits=waits).__enter__()

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

        def begin(*_args: Any, **_options: Any) -> _Command:
            # Within MULTI and EXEC no command blocks: https://redis.io/docs/latest/develop/using-commands/transactions/
            plain = not any(getattr(pipeline, name, False) is True for name in _TRANSACTION)
            waits = plain and any(asked_to_wait(_arguments(one)) for one in pipeline.command_stack)
            return _Command(self._metrics, "PIPELINE", waits)

        measure_method(pipeline, "execute", begin)

    @never_raising
    def failed(self, _error: BaseException) -> None:
        """Do nothing: there is no pipeline."""


def _arguments(queued: Any) -> Sequence[Any]:
    """Return the command of one entry of a pipeline's stack: a pair with its options, of clusters an object."""
    found: Sequence[Any] = queued[0] if isinstance(queued, tuple) else queued.args
    return found
