"""The database and cache board: what waits for data, how full the pool is, and what the cache saves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.precision import precise
from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import percent, seconds
from perfloop_boards.panels import About, figure, lines, number, percentile, stacked
from perfloop_boards.queries import Query, buckets, equal, mean, percentiles, quantile, rate, selector, share
from perfloop_boards.stores import servers, to_signal
from perfloop_boards.watches import SERVICES

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

DB = "db_client_operation_duration_seconds"
HTTP = "http_server_request_duration_seconds"
SERVICE = 'service=~"$service"'
# Redis's commands that wait because they are asked to, which other instrumentations time: they are not slow.
WAITS = '"(?i)bl.*pop|blmove|brpop.*|bz.*pop.*|wait|waitaof|.?subscribe|monitor"'
SYSTEM = (SERVICE, 'db_system_name=~"$system"', 'db_system_name!="vector"')
SEARCH = (SERVICE, 'db_system_name="vector"')
NO_QUERY = "No database queries for this selection and time range: is the engine instrumented?"
NO_SEARCH = "No vector searches for this selection and time range."
NO_POOL = "No connection pool is monitored: call instrument_sqlalchemy(engine)."
NO_CACHE = "No cache reads for this selection and time range: is the cache instrumented?"
OF = selector(SERVICE)
QUERIES, POOL, SEARCHES = (
    to_signal("db_query_time_p95"),
    to_signal("db_pool_used_ratio"),
    to_signal("vector_search_time_p95"),
)
CACHE, CACHE_TIME = to_signal("cache_hit_ratio"), to_signal("cache_operation_time_p95")


def _query_now(limits: Limits) -> AnyPanel:
    query_time = limits.signal("db_query_time_p95")
    return percentile(
        About(
            "Query time p95",
            f"Good: under {seconds(query_time.first)}. Above: find the operation below, then add an index, read "
            "less, or cache.",
            "s",
            "no queries",
            links=QUERIES,
        ),
        precise(0.95, buckets(DB, *SYSTEM)),
        query_time,
        watch=SERVICES,
    )


def _queries_now() -> AnyPanel:
    return figure(
        About(
            "Queries/s",
            "A jump without more traffic usually means an N+1 query.",
            "ops",
            "no queries",
            decimals=1,
            links=QUERIES,
        ),
        Query(rate(f"{DB}_count", *SYSTEM)),
        colours.DATABASE,
        watch=SERVICES,
    )


def _per_request_now() -> AnyPanel:
    return figure(
        About(
            "Queries/request",
            "Good: a few. Dozens usually mean one query per row (N+1): fetch the rows together.",
            "none",
            "no traffic",
            decimals=1,
            links=QUERIES,
        ),
        Query(f"{rate(f'{DB}_count', *SYSTEM)} / {rate(f'{HTTP}_count', SERVICE)}"),
        colours.DATABASE,
        watch=SERVICES,
    )


def _pool_now(limits: Limits) -> AnyPanel:
    pool = limits.signal("db_pool_used_ratio")
    return number(
        About(
            "Pool used",
            f"The fullest pool. Good: under {percent(pool.first)}. When it is full, requests wait for a "
            "connection: shorten transactions, then enlarge it.",
            "percentunit",
            "no pool",
            decimals=0,
            links=POOL,
        ),
        Query(f"max(service_pool:db_client_connection_used_per_max:ratio_avg1m{OF})"),
        pool,
        watch=SERVICES,
    )


def _hits_now(limits: Limits) -> AnyPanel:
    hits = limits.signal("cache_hit_ratio")
    return number(
        About(
            "Cache hit ratio",
            f"Share of reads answered by the cache. Good: above {percent(hits.first)}. Below: keys are too "
            "specific, or entries expire too soon.",
            "percentunit",
            "no reads",
            decimals=0,
            links=CACHE,
        ),
        Query(share(rate("cache_hits_total", SERVICE), rate("cache_requests_total", SERVICE))),
        hits,
        watch=SERVICES,
    )


def _search_now(limits: Limits) -> AnyPanel:
    search_time = limits.signal("vector_search_time_p95")
    return percentile(
        About(
            "Search p95",
            f"Good: under {seconds(search_time.first)}. Above: the index is not used, or no longer fits in memory.",
            "s",
            "no search",
            links=SEARCHES,
        ),
        precise(0.95, buckets(DB, *SEARCH)),
        search_time,
        watch=SERVICES,
    )


def _query_times(limits: Limits) -> AnyPanel:
    query_time = limits.signal("db_query_time_p95")
    return lines(
        About(
            "Query time percentiles",
            "Good: p95 under the dashed line. All lines up: the database is slow. Only p99: a few expensive queries.",
            "s",
            NO_QUERY,
            links=QUERIES,
        ),
        percentiles(lambda q: quantile(q, DB, *SYSTEM)),
        query_time,
    )


def _by_operation(limits: Limits) -> AnyPanel:
    query_time = limits.signal("db_query_time_p95")
    return lines(
        About(
            "Query time p95 by operation",
            "Good: under the dashed line. Slow reads: add an index. Slow writes: batch them.",
            "s",
            NO_QUERY,
            links=QUERIES,
        ),
        [
            Query(
                quantile(0.95, DB, *SYSTEM, f"db_operation_name!~{WAITS}", by=("db_system_name", "db_operation_name")),
                "{{db_system_name}} {{db_operation_name}}",
            )
        ],
        query_time,
    )


def _queries() -> AnyPanel:
    return stacked(
        About(
            "Queries by operation",
            "Queries per second. Good: they follow the request rate.",
            "ops",
            NO_QUERY,
            links=QUERIES,
        ),
        [
            Query(
                rate(f"{DB}_count", *SYSTEM, by=("db_system_name", "db_operation_name")),
                "{{db_system_name}} {{db_operation_name}}",
            )
        ],
    )


def _pool_used(limits: Limits) -> AnyPanel:
    pool = limits.signal("db_pool_used_ratio")
    return lines(
        About(
            "Connection pool used",
            "Good: under the dashed line. At 100%, every further request waits, however fast the database is.",
            "percentunit",
            NO_POOL,
            links=POOL,
        ),
        [
            Query(
                f"service_pool:db_client_connection_used_per_max:ratio_avg1m{OF}",
                "{{pool}} · {{service}}",
            )
        ],
        pool,
    )


def _connections_by_state() -> AnyPanel:
    return stacked(
        About(
            "Connections by state",
            "Used and idle, all pools. If idle stays far above used for days, make the pool smaller.",
            "none",
            NO_POOL,
            links=POOL,
        ),
        [
            Query(
                f"sum(db_client_connection_count{selector(SERVICE, equal('state', 'used'))})",
                "used",
                colours.DATABASE,
            ),
            Query(
                f"sum(db_client_connection_count{selector(SERVICE, equal('state', 'idle'))})",
                "idle",
                colours.OTHER,
            ),
        ],
    )


def _searches(limits: Limits) -> AnyPanel:
    search_time = limits.signal("vector_search_time_p95")
    return lines(
        About(
            "Vector search time",
            "Good: p95 under the dashed line. If it grows with the collection, build an index.",
            "s",
            NO_SEARCH,
            links=SEARCHES,
        ),
        [Query(quantile(0.95, DB, *SEARCH), "p95", colours.SLOW), Query(mean(DB, *SEARCH), "mean", colours.VECTOR)],
        search_time,
    )


def _hit_ratio(limits: Limits) -> AnyPanel:
    hits = limits.signal("cache_hit_ratio")
    return lines(
        About(
            "Cache hit ratio by cache",
            "Share of reads answered. Good: above the dashed line. A sudden drop: the cache was flushed.",
            "percentunit",
            NO_CACHE,
            links=CACHE,
        ),
        [Query(f"service_cache:cache_hits_per_request:ratio_rate1m{OF}", "{{cache}} · {{service}}")],
        hits,
    )


def _reads() -> AnyPanel:
    return stacked(
        About(
            "Cache hits and misses",
            "Reads per second. Each miss is a query to the system behind the cache.",
            "ops",
            NO_CACHE,
            links=CACHE,
        ),
        [
            Query(rate("cache_hits_total", SERVICE), "hits", colours.CACHE),
            Query(
                # Never below 0: see share().
                f"clamp_min({rate('cache_requests_total', SERVICE)} - {rate('cache_hits_total', SERVICE)}, 0)",
                "misses",
                colours.DATABASE,
            ),
        ],
    )


def _cache_time(limits: Limits) -> AnyPanel:
    cache_slow = limits.alert("CacheSlow")
    return lines(
        About(
            "Cache operation time p95",
            f"By cache and operation. Good: under {seconds(cache_slow.first)}. Above: the network, or values that "
            "are too large.",
            "s",
            NO_CACHE,
            links=CACHE_TIME,
        ),
        [
            Query(
                quantile(
                    0.95,
                    "cache_operation_duration_seconds",
                    SERVICE,
                    f"operation!~{WAITS}",
                    by=("cache", "operation"),
                ),
                "{{cache}} {{operation}}",
            )
        ],
        cache_slow,
    )


def build(limits: Limits) -> Board:
    """The database and cache board of a configuration."""
    query_times = _query_times(limits)
    pool_used = _pool_used(limits)
    hit_ratio = _hit_ratio(limits)
    searches = _searches(limits)
    return Board(
        uid="database-cache",
        title="Database and cache",
        question="Do requests wait for data, is a pool full, and what does the cache save?",
        related=("overview", "service", "analysis"),
        variables=(
            choice("service", "Service", "service_db:db_client_operations:rate1m"),
            choice(
                "system",
                "Database",
                'service_db:db_client_operations:rate1m{service=~"$service"}',
                label_name="db_system_name",
            ),
        ),
        signals={
            "db_query_time_p95": query_times,
            "db_pool_used_ratio": pool_used,
            "cache_hit_ratio": hit_ratio,
            "vector_search_time_p95": searches,
        },
        rows=(
            Row(
                4,
                evenly(
                    _query_now(limits),
                    _queries_now(),
                    _per_request_now(),
                    _pool_now(limits),
                    _hits_now(limits),
                    _search_now(limits),
                ),
            ),
            Row(9, evenly(query_times, _by_operation(limits), _queries())),
            Row(7, evenly(pool_used, _connections_by_state(), searches)),
            Row(7, evenly(hit_ratio, _reads(), _cache_time(limits)), title="Cache"),
            servers(limits),
        ),
    )
