"""PostgreSQL and Redis as their own exporters see them: panels of the database and cache board."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.limits import alert_limit, percent, plain
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, rate, selector

SERVICE = 'service=~"$service"'
OF = selector(SERVICE)
CONNECTIONS = alert_limit("PostgresConnectionsNearlyUsed")
BLOCKS_HIT = alert_limit("PostgresCacheHitRatioLow", below=True)
MEMORY = alert_limit("RedisMemoryNearlyFull")
EVICTING = alert_limit("RedisEvicting")
NO_POSTGRES = "No postgres_exporter is scraped: add it to prometheus/targets/."
NO_REDIS = "No redis_exporter is scraped: add it to prometheus/targets/."

POSTGRES_CONNECTIONS = lines(
    About(
        "PostgreSQL: connections in use",
        f"Good: under {percent(CONNECTIONS.warning)}. Above: a pooler, or fewer, shorter transactions.",
        "percentunit",
        NO_POSTGRES,
    ),
    [
        Query(
            f"sum by (instance) (pg_stat_activity_count{OF}) / sum by (instance) (pg_settings_max_connections{OF})",
            "{{instance}}",
            colours.DATABASE,
        )
    ],
    CONNECTIONS,
)
POSTGRES_READS = lines(
    About(
        "PostgreSQL: reads from memory",
        f"Good: near 100 %. Below {percent(BLOCKS_HIT.warning)} the working set has outgrown shared_buffers.",
        "percentunit",
        NO_POSTGRES,
    ),
    [
        Query(
            f"sum by (datname) (rate(pg_stat_database_blks_hit{OF}[$__rate_interval]))"
            f" / (sum by (datname) (rate(pg_stat_database_blks_hit{OF}[$__rate_interval]))"
            f" + sum by (datname) (rate(pg_stat_database_blks_read{OF}[$__rate_interval])))",
            "{{datname}}",
        )
    ],
    BLOCKS_HIT,
)
REDIS_MEMORY = lines(
    About(
        "Redis: memory of its limit",
        f"Good: under {percent(MEMORY.warning)}, or an eviction policy that was chosen. "
        "Empty where Redis has no limit.",
        "percentunit",
        NO_REDIS,
    ),
    [
        Query(
            f"sum by (instance) (redis_memory_used_bytes{OF}) / (sum by (instance) (redis_memory_max_bytes{OF}) > 0)",
            "{{instance}}",
            colours.CACHE,
        )
    ],
    MEMORY,
)
REDIS_EVICTED = lines(
    About(
        "Redis: keys thrown out",
        f"Good: 0 evicted. Above {plain(EVICTING.warning)} it is too small for what is read, and the hit ratio falls.",
        "ops",
        NO_REDIS,
    ),
    [
        Query(rate("redis_evicted_keys_total", SERVICE, by=("instance",)), "evicted · {{instance}}", colours.ERRORS),
        Query(rate("redis_expired_keys_total", SERVICE, by=("instance",)), "expired · {{instance}}", colours.OTHER),
    ],
    EVICTING,
)
