"""Bcachefs filesystems: /sys/fs/bcachefs (kernel: fs/bcachefs/sysfs.c)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, LabelValues, counter, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.human_sizes import parse_size
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

INFO = gauge("node_bcachefs_info", "A filesystem; always 1.", "uuid")
TREE_CACHE = gauge("node_bcachefs_btree_cache_size_bytes", "Memory that the cache of the trees uses.", "uuid")
COMPRESSED = gauge("node_bcachefs_compression_compressed_bytes", "Size after compression.", "algorithm", "uuid")
UNCOMPRESSED = gauge("node_bcachefs_compression_uncompressed_bytes", "Size before compression.", "algorithm", "uuid")
ERRORS = counter("node_bcachefs_errors_total", "Errors of the filesystem, by type.", "error_type", "uuid")
TREE_WRITES = counter("node_bcachefs_btree_writes_total", "Writes of the trees, by type.", "type", "uuid")
TREE_WRITE_SIZE = gauge(
    "node_bcachefs_btree_write_average_size_bytes", "Average size of a write of the trees.", "type", "uuid"
)
DEVICE = ("device", "uuid")
DEVICE_INFO = gauge("node_bcachefs_device_info", "Label and state of a device; always 1.", *DEVICE, "label", "state")
BUCKET_SIZE = gauge("node_bcachefs_device_bucket_size_bytes", "Size of a bucket.", *DEVICE)
BUCKETS = gauge("node_bcachefs_device_buckets", "Buckets of a device.", *DEVICE)
DURABILITY = gauge("node_bcachefs_device_durability", "How many copies one on this device counts for.", *DEVICE)
IO_DONE = counter(
    "node_bcachefs_device_io_done_bytes_total",
    "Bytes read and written, by kind of data.",
    *DEVICE,
    "data_type",
    "operation",
)
IO_ERRORS = counter("node_bcachefs_device_io_errors_total", "Errors of a device, by type.", *DEVICE, "type")
FAMILIES = (
    *(INFO, TREE_CACHE, COMPRESSED, UNCOMPRESSED, ERRORS, TREE_WRITES, TREE_WRITE_SIZE),
    *(DEVICE_INFO, BUCKET_SIZE, BUCKETS, DURABILITY, IO_DONE, IO_ERRORS),
)
CREATION = "since filesystem creation:"
UNCLEAN = re.compile(r"[^a-zA-Z0-9_]")
COLUMNS = 3


class BcachefsCollector:
    """Exports counters, errors, compression and devices of each filesystem."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/fs/bcachefs"

    def collect(self) -> list[Item]:
        """Return one sample per filesystem, device and kind; the files of counters give names to metrics.

        Raises:
            NoDataError: No bcachefs is mounted.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, FAMILIES)
        names = self._host.directories(self._base)
        if not names:
            raise NoDataError(f"{self._base}: no filesystem")
        for uuid in names:
            with losses:
                self._read_filesystem(f"{self._base}/{uuid}", uuid, numbers, losses)
        return losses.settle(numbers.readings())

    def _read_filesystem(self, path: str, uuid: str, numbers: Numbers, losses: Losses) -> None:
        numbers.add(INFO, (uuid,), 1)
        self._add_size(f"{path}/btree_cache_size", TREE_CACHE, (uuid,), numbers, losses)
        for words in self._rows(f"{path}/compression_stats"):
            with losses:
                labels = (words[0].removesuffix(":"), uuid)
                numbers.add(COMPRESSED, labels, parse_size(words[1], path))
                numbers.add(UNCOMPRESSED, labels, parse_size(words[2], path))
        for words in self._rows(f"{path}/btree_write_stats"):
            with losses:
                labels = (words[0].removesuffix(":"), uuid)
                numbers.add(TREE_WRITES, labels, whole(words[1], path))
                numbers.add(TREE_WRITE_SIZE, labels, parse_size(words[2], path))
        for line in lines_of(self._host.attribute(f"{path}/errors") or ""):
            words = columns_of(line)
            if len(words) > 1:
                with losses:
                    numbers.add(ERRORS, (words[0], uuid), whole(words[1], f"{path}/errors"))
        self._read_counters(path, uuid, numbers, losses)
        for name in self._host.directories(path):
            if name.startswith("dev-"):
                self._read_device(f"{path}/{name}", (name.removeprefix("dev-"), uuid), numbers, losses)

    def _rows(self, path: str) -> Iterator[list[str]]:
        """Yield the columns of each line below the heading."""
        for line in lines_of(self._host.attribute(path) or "")[1:]:
            words = columns_of(line)
            if len(words) >= COLUMNS:
                yield words

    def _read_counters(self, path: str, uuid: str, numbers: Numbers, losses: Losses) -> None:
        with losses:
            for name in self._host.entries(f"{path}/counters"):
                with losses:
                    text = self._host.read(f"{path}/counters/{name}")
                    lines = (line for line in lines_of(text) if line.startswith(CREATION))
                    line = next(lines, None)
                    if line is None:
                        raise CollectorError(f"{path}/counters/{name}: there is no line '{CREATION}'")
                    family = counter(
                        f"node_bcachefs_{UNCLEAN.sub('_', name)}_total",
                        f"The filesystem's counter {name} since it was created.",
                        "uuid",
                    )
                    numbers.add(family, (uuid,), parse_size(line.removeprefix(CREATION), name))

    def _read_device(self, path: str, labels: tuple[str, str], numbers: Numbers, losses: Losses) -> None:
        names = (self._host.attribute(f"{path}/{file}") or "" for file in ("label", "state"))
        numbers.add(DEVICE_INFO, (*labels, *names), 1)
        self._add_size(f"{path}/bucket_size", BUCKET_SIZE, labels, numbers, losses)
        numbers.add_files(path, {"nbuckets": BUCKETS, "durability": DURABILITY}, labels)
        operation = ""
        for line in lines_of(self._host.attribute(f"{path}/io_done") or ""):
            kind, colon, text = (part.strip() for part in line.partition(":"))
            if kind in {"read", "write"} and not text:
                operation = kind
            elif operation and colon:
                with losses:
                    numbers.add(IO_DONE, (*labels, kind, operation), whole(text, f"{path}/io_done"))
        self._read_errors(f"{path}/io_errors", labels, numbers, losses)

    def _read_errors(self, path: str, labels: tuple[str, str], numbers: Numbers, losses: Losses) -> None:
        counts = False
        for line in lines_of(self._host.attribute(path) or ""):
            if line.startswith("IO errors since "):
                # What follows a later heading counts since the last reset.
                counts = line.startswith("IO errors since filesystem creation")
                continue
            kind, colon, text = (part.strip() for part in line.partition(":"))
            if counts and colon:
                with losses:
                    numbers.add(IO_ERRORS, (*labels, kind), whole(text, path))

    def _add_size(self, path: str, family: Family, labels: LabelValues, numbers: Numbers, losses: Losses) -> None:
        text = self._host.attribute(path)
        if text is not None:
            with losses:
                numbers.add(family, labels, parse_size(text, path))


SPEC = Spec("bcachefs", seldom(BcachefsCollector), "bcachefs filesystems")
