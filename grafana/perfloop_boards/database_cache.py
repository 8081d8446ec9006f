"""The database and cache board: what waits for data, how full the pool is, and what the cache saves."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice
from perfloop_boards.data_servers import POSTGRES_CONNECTIONS, POSTGRES_READS, REDIS_EVICTED, REDIS_MEMORY
from perfloop_boards.limits import alert_limit, percent, seconds, signal_limit
from perfloop_boards.panels import About, figure, lines, number, stacked
from perfloop_boards.percentiles import percentiles
from perfloop_boards.queries import Query, equal, mean, quantile, rate, ratio, selector

DB = "db_client_operation_duration_seconds"
HTTP = "http_server_request_duration_seconds"
SERVICE = 'service=~"$service"'
SYSTEM = (SERVICE, 'db_system_name=~"$system"', 'db_system_name!="vector"')
SEARCH = (SERVICE, 'db_system_name="vector"')
NO_QUERY = "No database call was seen in this time: is the engine instrumented?"
NO_SEARCH = "No vector search was seen in this time."
NO_POOL = "No connection pool is watched: instrument_sqlalchemy(engine) does it."
NO_CACHE = "No cache was asked in this time: is it instrumented?"
QUERY_TIME = signal_limit("db_query_time_p95")
POOL = signal_limit("db_pool_used_ratio")
HITS = signal_limit("cache_hit_ratio")
SEARCH_TIME = signal_limit("vector_search_time_p95")
CACHE_SLOW = alert_limit("CacheSlow")
OF = selector(SERVICE)

QUERY_NOW = number(
    About(
        "Query time, p95",
        f"Good: under {seconds(QUERY_TIME.warning)}. Above: which operation, below; "
        "then an index, a smaller question, or a cache.",
        "s",
        "no queries",
    ),
    Query(quantile(0.95, DB, *SYSTEM)),
    QUERY_TIME,
)
QUERIES_NOW = figure(
    About("Queries/s", "Many for each request: a loop that asks row by row.", "ops", "no queries", decimals=1),
    Query(rate(f"{DB}_count", *SYSTEM)),
    colours.DATABASE,
)
PER_REQUEST_NOW = figure(
    About(
        "Queries/request",
        "Good: a handful. Tens: one question per row; ask for all at once.",
        "none",
        "no traffic",
        decimals=1,
    ),
    Query(f"{rate(f'{DB}_count', *SYSTEM)} / {rate(f'{HTTP}_count', SERVICE)}"),
    colours.DATABASE,
)
POOL_NOW = number(
    About(
        "Pool used",
        f"The fullest pool. Good: under {percent(POOL.warning)}. "
        "Full, requests wait for a connection: shorten transactions, then grow it.",
        "percentunit",
        "no pool",
        decimals=0,
    ),
    Query(f"max(service_pool:db_client_connection_used_per_max:ratio_avg1m{OF})"),
    POOL,
)
HITS_NOW = number(
    About(
        "Cache hits",
        f"Share of reads that the cache answered. Good: above {percent(HITS.warning)}. "
        "Below: keys too narrow, or life too short.",
        "percentunit",
        "no reads",
        decimals=0,
    ),
    Query(ratio(rate("cache_hits_total", SERVICE), rate("cache_requests_total", SERVICE))),
    HITS,
)
SEARCH_NOW = number(
    About(
        "Search, p95",
        f"Good: under {seconds(SEARCH_TIME.warning)}. Above: the index is not used, or has outgrown memory.",
        "s",
        "no search",
    ),
    Query(quantile(0.95, DB, *SEARCH)),
    SEARCH_TIME,
)
QUERY_TIMES = lines(
    About(
        "How long do queries take?",
        "Good: p95 under the dashed line. All lines up: the database waits; only p99: a few heavy questions.",
        "s",
        NO_QUERY,
    ),
    percentiles(lambda q: quantile(q, DB, *SYSTEM)),
    QUERY_TIME,
)
BY_OPERATION = lines(
    About(
        "Which kind of query is slow?",
        "p95 by operation. Good: under the dashed line. Reads: an index; writes: batches.",
        "s",
        NO_QUERY,
    ),
    [
        Query(
            quantile(0.95, DB, *SYSTEM, by=("db_system_name", "db_operation_name")),
            "{{db_system_name}} {{db_operation_name}}",
        )
    ],
    QUERY_TIME,
)
QUERIES = stacked(
    About(
        "What is asked of the database?",
        "Queries per second by operation. Good: the shape of the traffic.",
        "ops",
        NO_QUERY,
    ),
    [
        Query(
            rate(f"{DB}_count", *SYSTEM, by=("db_system_name", "db_operation_name")),
            "{{db_system_name}} {{db_operation_name}}",
        )
    ],
    known=colours.STATEMENTS,
)
POOL_USED = lines(
    About(
        "How full is the connection pool?",
        "Good: under the dashed line. At 100 % every further request waits, whatever the database does.",
        "percentunit",
        NO_POOL,
    ),
    [
        Query(
            f"service_pool:db_client_connection_used_per_max:ratio_avg1m{OF}",
            "{{pool}} · {{service}}",
            colours.DATABASE,
        )
    ],
    POOL,
)
CONNECTIONS_BY_STATE = stacked(
    About(
        "How many connections are open?",
        "Used and idle, all pools. Idle far above used for days: make the pool smaller.",
        "none",
        NO_POOL,
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
SEARCHES = lines(
    About(
        "How long do vector searches take?",
        "Good: under the dashed line. Grows with the collection: build an index.",
        "s",
        NO_SEARCH,
    ),
    [Query(quantile(0.95, DB, *SEARCH), "p95", colours.SLOW), Query(mean(DB, *SEARCH), "mean", colours.VECTOR)],
    SEARCH_TIME,
)
HIT_RATIO = lines(
    About(
        "How often does the cache answer?",
        "Share of reads answered, by cache. Good: above the dashed line. A sudden fall: it was emptied.",
        "percentunit",
        NO_CACHE,
    ),
    [Query(f"service_cache:cache_hits_per_request:ratio_rate1m{OF}", "{{cache}} · {{service}}")],
    HITS,
)
READS = stacked(
    About(
        "Hits and misses", "Reads per second. Each miss is a question to what lies behind the cache.", "ops", NO_CACHE
    ),
    [
        Query(rate("cache_hits_total", SERVICE), "hits", colours.CACHE),
        Query(
            f"{rate('cache_requests_total', SERVICE)} - {rate('cache_hits_total', SERVICE)}", "misses", colours.DATABASE
        ),
    ],
)
CACHE_TIME = lines(
    About(
        "How long does the cache take?",
        f"p95 by operation. Good: under {seconds(CACHE_SLOW.warning)}. Above: the network, or values too large.",
        "s",
        NO_CACHE,
    ),
    [
        Query(
            quantile(0.95, "cache_operation_duration_seconds", SERVICE, by=("cache", "operation")),
            "{{cache}} {{operation}}",
        )
    ],
    CACHE_SLOW,
)
BOARD = Board(
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
        "db_query_time_p95": QUERY_TIMES,
        "db_pool_used_ratio": POOL_USED,
        "cache_hit_ratio": HIT_RATIO,
        "vector_search_time_p95": SEARCHES,
    },
    rows=(
        Row(4, [(4, panel) for panel in (QUERY_NOW, QUERIES_NOW, PER_REQUEST_NOW, POOL_NOW, HITS_NOW, SEARCH_NOW)]),
        Row(8, [(8, QUERY_TIMES), (8, BY_OPERATION), (8, QUERIES)]),
        Row(7, [(8, POOL_USED), (8, CONNECTIONS_BY_STATE), (8, SEARCHES)]),
        Row(7, [(8, HIT_RATIO), (8, READS), (8, CACHE_TIME)], title="Cache"),
        Row(
            7,
            [(6, panel) for panel in (POSTGRES_CONNECTIONS, POSTGRES_READS, REDIS_MEMORY, REDIS_EVICTED)],
            title="The servers' own view (postgres_exporter, redis_exporter)",
        ),
    ),
)
