"""PostgreSQL and Redis as their own exporters see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Row, evenly
from perfloop_boards.limits import percent, plain
from perfloop_boards.links import to_board
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, rate, selector

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.links import Link
    from perfloop_boards.panels import AnyPanel

SERVICE = 'service=~"$service"'
OF = selector(SERVICE)
NO_POSTGRES = "postgres_exporter is not scraped: add it to prometheus/targets/."
NO_REDIS = "redis_exporter is not scraped: add it to prometheus/targets/."


def to_signal(signal: str) -> tuple[Link, Link]:
    """Where a signal is explained: its expected range and what belongs to it, and the requests that wait for it."""
    analysis = to_board("Open the analysis of this signal", "analysis", "service", signal=signal)
    return analysis, to_board("Open the Service board", "service", "service")


def _postgres_connections(limits: Limits) -> AnyPanel:
    connections = limits.alert("PostgresConnectionsNearlyUsed")
    return lines(
        About(
            "PostgreSQL: connections used",
            f"Of max_connections. Good: under {percent(connections.first)}. Above: a "
            "connection pooler, or fewer and shorter transactions.",
            "percentunit",
            NO_POSTGRES,
            links=to_signal("postgres_connections_used_ratio"),
        ),
        [
            Query(
                f"sum by (instance) (pg_stat_activity_count{OF}) / sum by (instance) (pg_settings_max_connections{OF})",
                "{{instance}}",
            )
        ],
        connections,
    )


def _postgres_reads(limits: Limits) -> AnyPanel:
    blocks_hit = limits.alert("PostgresCacheHitRatioLow", below=True)
    return lines(
        About(
            "PostgreSQL: cache hit ratio",
            f"Share of blocks read from shared_buffers. Good: near 100%. Below {percent(blocks_hit.first)}, the "
            "working set no longer fits.",
            "percentunit",
            NO_POSTGRES,
            links=to_signal("postgres_cache_hit_ratio"),
        ),
        [
            Query(
                f"sum by (datname) (rate(pg_stat_database_blks_hit{OF}[$__rate_interval]))"
                f" / (sum by (datname) (rate(pg_stat_database_blks_hit{OF}[$__rate_interval]))"
                f" + sum by (datname) (rate(pg_stat_database_blks_read{OF}[$__rate_interval])))",
                "{{datname}}",
            )
        ],
        blocks_hit,
    )


def _redis_memory(limits: Limits) -> AnyPanel:
    memory = limits.alert("RedisMemoryNearlyFull")
    return lines(
        About(
            "Redis: memory / maxmemory",
            f"Good: under {percent(memory.first)}, unless an eviction policy was chosen. Empty where Redis has no "
            "maxmemory.",
            "percentunit",
            NO_REDIS,
            links=to_signal("redis_memory_used_ratio"),
        ),
        [
            Query(
                f"sum by (instance) (redis_memory_used_bytes{OF})"
                f" / (sum by (instance) (redis_memory_max_bytes{OF}) > 0)",
                "{{instance}}",
            )
        ],
        memory,
    )


def _redis_evicted(limits: Limits) -> AnyPanel:
    evicting = limits.alert("RedisEvicting")
    return lines(
        About(
            "Redis: evicted keys/s",
            f"Good: 0 evicted. Above {plain(evicting.first)}, memory is too small for the working set, and the hit "
            "ratio drops. Keys that expire do so as they should.",
            "ops",
            NO_REDIS,
            links=to_signal("redis_evicted_keys_per_second"),
        ),
        [
            Query(rate("redis_evicted_keys_total", SERVICE, by=("instance",)), "evicted · {{instance}}"),
            Query(rate("redis_expired_keys_total", SERVICE, by=("instance",)), "expired · {{instance}}"),
        ],
        evicting,
    )


def servers(limits: Limits) -> Row:
    """Return the row of what the servers say of themselves; their clients are in the rows above."""
    panels = (_postgres_connections(limits), _postgres_reads(limits), _redis_memory(limits), _redis_evicted(limits))
    return Row(7, evenly(*panels), title="Server metrics (postgres_exporter, redis_exporter)")
