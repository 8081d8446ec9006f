"""Caches of block devices: /sys/fs/bcache (kernel: Documentation/admin-guide/bcache.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, counter, gauge
from perfloop_exporter.collectors.host import lines_of
from perfloop_exporter.collectors.human_sizes import parse_size
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

BACKED = ("backing_device", "uuid")
CACHED = ("cache_device", "uuid")
# Files of a set of caches and its directory internal, of a backing device and its directory stats_total, of a cache.
SET: dict[str, Family] = {
    "average_key_size": gauge("node_bcache_average_key_size_sectors", "Data per key of the tree, in sectors.", "uuid"),
    "btree_cache_size": gauge("node_bcache_btree_cache_size_bytes", "Memory that the cache of the tree uses.", "uuid"),
    "cache_available_percent": gauge(
        "node_bcache_cache_available_percent", "Share of the cache without dirty data, in percent.", "uuid"
    ),
    "congested": gauge("node_bcache_congested", "How congested the cache is.", "uuid"),
    "root_usage_percent": gauge(
        "node_bcache_root_usage_percent", "Share of the root node of the tree that is used, in percent.", "uuid"
    ),
    "tree_depth": gauge("node_bcache_tree_depth", "Depth of the tree.", "uuid"),
}
INTERNAL: dict[str, Family] = {
    "active_journal_entries": gauge(
        "node_bcache_active_journal_entries", "Entries of the journal that are newer than the tree.", "uuid"
    ),
    "btree_nodes": gauge("node_bcache_btree_nodes", "Nodes of the tree.", "uuid"),
    "cache_read_races": counter(
        "node_bcache_cache_read_races_total", "Reads whose bucket was reused before they finished.", "uuid"
    ),
}
READ_DURATION = gauge(
    "node_bcache_btree_read_average_duration_seconds", "How long a read of the tree takes on average.", "uuid"
)
DIRTY = {
    "dirty_data": gauge("node_bcache_dirty_data_bytes", "Data that is only in the cache.", *BACKED),
}
TOTALS: dict[str, Family] = {
    "bypassed": counter("node_bcache_bypassed_bytes_total", "Reads and writes that went past the cache.", *BACKED),
    "cache_hits": counter("node_bcache_cache_hits_total", "Reads that the cache answered.", *BACKED),
    "cache_misses": counter("node_bcache_cache_misses_total", "Reads that the cache could not answer.", *BACKED),
    "cache_bypass_hits": counter(
        "node_bcache_cache_bypass_hits_total", "Requests past the cache that it could have answered.", *BACKED
    ),
    "cache_bypass_misses": counter(
        "node_bcache_cache_bypass_misses_total", "Requests past the cache that it could not have answered.", *BACKED
    ),
    "cache_miss_collisions": counter(
        "node_bcache_cache_miss_collisions_total",
        "Data of a miss that a write had put into the cache meanwhile.",
        *BACKED,
    ),
}
READAHEADS = counter("node_bcache_cache_readaheads_total", "Reads ahead.", *BACKED)
CACHE: dict[str, Family] = {
    "io_errors": gauge("node_bcache_io_errors", "Errors of the cache, which decay with a half-life.", *CACHED),
    "metadata_written": counter(
        "node_bcache_metadata_written_bytes_total", "Bytes written to the cache that are not data.", *CACHED
    ),
    "written": counter("node_bcache_written_bytes_total", "Bytes of data written to the cache.", *CACHED),
}
# Lines `KEY: NUMBER` of writeback_rate_debug and of priority_stats.
WRITEBACK: dict[str, Family] = {
    "target": gauge(
        "node_bcache_dirty_target_bytes", "Dirty data that the rate of writing back works towards.", *BACKED
    ),
    "rate": gauge("node_bcache_writeback_rate", "Bytes per second that are written back.", *BACKED),
    "proportional": gauge(
        "node_bcache_writeback_rate_proportional_term", "Proportional part of the rate of writing back.", *BACKED
    ),
    "integral": gauge(
        "node_bcache_writeback_rate_integral_term", "Integral part of the rate of writing back.", *BACKED
    ),
    "change": gauge("node_bcache_writeback_change", "Last change of the rate of writing back.", *BACKED),
}
PRIORITY: dict[str, Family] = {
    "Unused": gauge(
        "node_bcache_priority_stats_unused_percent", "Share of the cache without data, in percent.", *CACHED
    ),
    "Metadata": gauge(
        "node_bcache_priority_stats_metadata_percent", "Share of the cache that has metadata, in percent.", *CACHED
    ),
}
BACKING, CACHE_DIRECTORY = re.compile(r"bdev[0-9].*"), re.compile(r"cache[0-9].*")
NANO = 1e-9


class BcacheCollector:
    """Exports the statistics of every set of caches, its backing devices and its caches."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/fs/bcache"
        # Reading it makes the kernel sort every bucket.
        self._priority = options.switch("priorityStats")

    def collect(self) -> list[Item]:
        """Return one sample per file; what a kernel does not have is left out.

        Raises:
            NoDataError: There is no set of caches.
        """
        losses = Losses()
        declared = (SET, INTERNAL, DIRTY, WRITEBACK, TOTALS, CACHE, PRIORITY)
        numbers = Numbers(self._host, losses, (family for table in declared for family in table.values()))
        names = [name for name in self._host.entries(self._base) if "-" in name]
        if not names:
            raise NoDataError(f"{self._base}: no cache")
        for name in names:
            with losses:
                self._read_set(name, numbers, losses)
        return losses.settle(numbers.readings())

    def _read_set(self, uuid: str, numbers: Numbers, losses: Losses) -> None:
        path = f"{self._base}/{uuid}"
        entries = self._host.entries(path)
        self._add_sizes(path, SET, (uuid,), numbers, losses)
        self._add_sizes(f"{path}/internal", INTERNAL, (uuid,), numbers, losses)
        # Its name says microseconds; node_exporter takes it for nanoseconds, and this is the same metric.
        self._add_sizes(f"{path}/internal", {"btree_read_average_duration_us": READ_DURATION}, (uuid,), numbers, losses)
        for device in filter(BACKING.fullmatch, entries):
            labels = (device, uuid)
            self._add_sizes(f"{path}/{device}", DIRTY, labels, numbers, losses)
            self._add_lines(f"{path}/{device}/writeback_rate_debug", WRITEBACK, labels, numbers, losses)
            totals = f"{path}/{device}/stats_total"
            self._add_sizes(totals, TOTALS, labels, numbers, losses)
            if self._host.attribute(f"{totals}/cache_readaheads") not in {None, "0"}:
                self._add_sizes(totals, {"cache_readaheads": READAHEADS}, labels, numbers, losses)
        for cache in filter(CACHE_DIRECTORY.fullmatch, entries):
            self._add_sizes(f"{path}/{cache}", CACHE, (cache, uuid), numbers, losses)
            if self._priority:
                self._add_lines(f"{path}/{cache}/priority_stats", PRIORITY, (cache, uuid), numbers, losses)

    def _add_sizes(
        self, path: str, files: Mapping[str, Family], labels: tuple[str, ...], numbers: Numbers, losses: Losses
    ) -> None:
        for file, family in files.items():
            text = self._host.attribute(f"{path}/{file}")
            if text is not None:
                with losses:
                    size = parse_size(text, f"{path}/{file}", of_1024=True)
                    numbers.add(family, labels, size * NANO if family is READ_DURATION else size)

    def _add_lines(
        self, path: str, keys: Mapping[str, Family], labels: tuple[str, ...], numbers: Numbers, losses: Losses
    ) -> None:
        for line in lines_of(self._host.attribute(path) or ""):
            key, _, text = line.partition(":")
            family = keys.get(key)
            if family is not None:
                with losses:
                    size = parse_size(text.strip().removesuffix("/sec").removesuffix("%"), path, of_1024=True)
                    numbers.add(family, labels, size)


SPEC = Spec(
    "bcache",
    seldom(BcacheCollector),
    "caches of block devices",
    (Option("priorityStats", False, "read the statistics of priorities, which costs time"),),  # noqa: FBT003  # off
)
