"""The connection pools of SQLAlchemy's engines: connections, waits for one, and timeouts."""

from __future__ import annotations

import logging
import weakref
from collections import Counter
from pathlib import PurePath
from time import perf_counter
from typing import Any

from perfloop_exporter.instrument.database import count_error
from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.wrapping import measure_method
from perfloop_exporter.metrics.registry import DEFAULT

log = logging.getLogger("perfloop")

CONNECTION_COUNT = DEFAULT.gauge(
    "db_client_connection_count", "Connections of the pool, by state (idle, used).", ("pool", "state")
)
CONNECTION_MAX = DEFAULT.gauge("db_client_connection_max", "Connections that the pool may open at most.", ("pool",))
CONNECTION_WAIT = DEFAULT.histogram(
    "db_client_connection_wait_time_seconds", "Time to get a connection from the pool.", ("pool",)
)
CONNECTION_TIMEOUTS = DEFAULT.counter(
    "db_client_connection_timeouts_total", "Times that no connection was available in time.", ("pool",)
)

DEFAULT_NAME = "default"
# Operation of a connection that could not be opened.
_CONNECT = "CONNECT"

# Weak: watching a pool must not keep its engine alive.
_watched: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
# What was exported once: a pool whose engine is gone has no connections, instead of its last ones for ever.
_counted: set[tuple[str, str]] = set()
_warned = False


def watch_pool(engine: Any, name: str | None) -> bool:
    """Export the pool of an engine; return False where it is already watched."""
    if engine in _watched:
        return False
    _watched[engine] = name if name is not None else _free_name(engine)
    return True


def _free_name(engine: Any) -> str:
    taken = set(_watched.values())
    if DEFAULT_NAME not in taken:
        return DEFAULT_NAME
    database = PurePath(getattr(engine.url, "database", None) or "").name
    base = DEFAULT_NAME if database in {"", ":memory:"} else database
    names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
    name = next(name for name in names if name not in taken)
    _warn(name)
    return name


def _warn(name: str) -> None:
    global _warned  # noqa: PLW0603 - once per process, however many engines it has
    if not _warned:
        _warned = True
        log.warning(
            "A second engine is instrumented without a name for its pool: it is %r; instrument_sqlalchemy(engine, "
            "pool=...) names it (further ones are named without a warning)",
            name,
        )


class _Checkout:
    """One wait for a connection of the pool."""

    def __init__(self, pool: str, system: str) -> None:
        self._pool = pool
        self._system = system
        self._started = perf_counter()

    def finished(self, _answer: Any) -> None:
        """Record the wait."""
        CONNECTION_WAIT.labels(self._pool).observe(perf_counter() - self._started)

    def failed(self, error: BaseException) -> None:
        """Record the wait, and a timeout of the pool, or a connection that the database has not accepted."""
        CONNECTION_WAIT.labels(self._pool).observe(perf_counter() - self._started)
        # SQLAlchemy's own TimeoutError, by its documented code: https://sqlalche.me/e/20/3o7r
        if getattr(error, "code", None) == "3o7r":
            CONNECTION_TIMEOUTS.labels(self._pool).inc()
        elif isinstance(error, Exception):
            count_error(self._system, _CONNECT, error)


@never_raising
def watch_waiting(engine: Any) -> None:
    """Measure the pool's `connect`; called again after dispose(), which creates a new pool."""
    name, system = _watched[engine], engine.dialect.name
    CONNECTION_TIMEOUTS.labels(name)
    measure_method(engine.pool, "connect", lambda *_args, **_kwargs: _Checkout(name, system))


def _read_pools() -> None:
    """Set the gauges to the pools' state at the moment of a scrape; engines of one name are added up."""
    counts: Counter[tuple[str, str]] = Counter(dict.fromkeys(_counted, 0))
    limits: Counter[str] = Counter()
    for engine, name in list(_watched.items()):
        pool = engine.pool
        if not hasattr(pool, "checkedout"):  # NullPool keeps no connections
            continue
        counts[name, "used"] += pool.checkedout()
        counts[name, "idle"] += pool.checkedin()
        size, overflow = pool.size(), getattr(pool, "_max_overflow", 0)
        if size > 0 and overflow >= 0:  # otherwise there is no limit
            limits[name] += size + overflow
    _counted.update(counts)
    for labels, count in counts.items():
        CONNECTION_COUNT.labels(*labels).set(count)
    for name, limit in limits.items():
        CONNECTION_MAX.labels(name).set(limit)


DEFAULT.before_read(_read_pools)
