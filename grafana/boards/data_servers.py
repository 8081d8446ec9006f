"""PostgreSQL and Redis as their own exporters see them: panels of the database and cache board."""

from __future__ import annotations

from boards import colours
from boards.limits import Limit
from boards.panels import About, lines
from boards.queries import Query, rate, selector

SERVICE = 'service=~"$service"'
OF = selector(SERVICE)
CONNECTIONS = Limit(warning=0.8, critical=0.95)
NO_POSTGRES = "No postgres_exporter is scraped: add it to prometheus/targets/."
NO_REDIS = "No redis_exporter is scraped: add it to prometheus/targets/."

POSTGRES_CONNECTIONS = lines(
    About(
        "PostgreSQL: connections in use",
        "Good: under 80 %. Above: a pooler, or fewer, shorter transactions.",
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
        "Good: above 99 %. Below 90 % the working set has outgrown shared_buffers.",
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
    Limit(warning=0.99, critical=0.9, below=True),
)
REDIS_MEMORY = lines(
    About(
        "Redis: memory of its limit",
        "Good: under 80 %, or an eviction policy that was chosen. 0 where no limit is set.",
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
    CONNECTIONS,
)
REDIS_EVICTED = lines(
    About(
        "Redis: keys thrown out",
        "Good: 0. Above: it is too small for what is read, and the hit ratio falls.",
        "ops",
        NO_REDIS,
    ),
    [
        Query(rate("redis_evicted_keys_total", SERVICE, by=("instance",)), "evicted · {{instance}}", colours.ERRORS),
        Query(rate("redis_expired_keys_total", SERVICE, by=("instance",)), "expired · {{instance}}", colours.OTHER),
    ],
)
