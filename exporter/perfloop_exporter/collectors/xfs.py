"""XFS filesystems: /sys/fs/xfs/DEVICE/stats/stats (kernel: fs/xfs/xfs_stats.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Sample, counter
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


def _families(group: str, **helps: str) -> tuple[Family, ...]:
    return tuple(counter(f"node_xfs_{group}_{name}_total", help_, "device") for name, help_ in helps.items())


# By the word that a line begins with, in the order of its numbers; further numbers are not exported.
LINES: dict[str, tuple[Family, ...]] = {
    "extent_alloc": _families(
        "extent_allocation",
        extents_allocated="Extents that were allocated.",
        blocks_allocated="Blocks that were allocated.",
        extents_freed="Extents that were freed.",
        blocks_freed="Blocks that were freed.",
    ),
    "abt": _families(
        "allocation_btree",
        lookups="Lookups in the trees of free space.",
        compares="Comparisons in the trees of free space.",
        records_inserted="Records inserted into the trees of free space.",
        records_deleted="Records deleted from the trees of free space.",
    ),
    "blk_map": _families(
        "block_mapping",
        reads="Mappings of blocks for reading.",
        writes="Mappings of blocks for writing.",
        unmaps="Mappings of blocks that were removed.",
        extent_list_insertions="Extents inserted into the lists of files.",
        extent_list_deletions="Extents deleted from the lists of files.",
        extent_list_lookups="Lookups in the lists of extents.",
        extent_list_compares="Comparisons in the lists of extents.",
    ),
    "bmbt": _families(
        "block_map_btree",
        lookups="Lookups in the trees of mapped blocks.",
        compares="Comparisons in the trees of mapped blocks.",
        records_inserted="Records inserted into the trees of mapped blocks.",
        records_deleted="Records deleted from the trees of mapped blocks.",
    ),
    "dir": tuple(
        counter(f"node_xfs_directory_operation_{name}_total", help_, "device")
        for name, help_ in (
            ("lookup", "Lookups of names that the kernel's cache of names did not have."),
            ("create", "Directory entries created."),
            ("remove", "Directory entries removed."),
            ("getdents", "Reads of directories."),
        )
    ),
    "ig": _families(
        "inode_operation",
        attempts="Inodes looked for in the cache.",
        found="Inodes found in the cache.",
        recycled="Inodes found in the cache while they were being recycled.",
        missed="Inodes that the cache did not have.",
        duplicates="Inodes that another process had put into the cache meanwhile.",
        reclaims="Inodes taken out of the cache to free memory.",
        attribute_changes="Explicit changes of attributes of inodes.",
    ),
    # Writes come first in the file.
    "rw": _families("write", calls="Calls of write.") + _families("read", calls="Calls of read."),
    "vnodes": _families(
        "vnode",
        active="Inodes in use.",
        allocate="Inodes allocated for use.",
        get="References taken to inodes of the free list.",
        hold="References taken to inodes in use.",
        release="References given back.",
        reclaim="Inodes taken back from the free list.",
        remove="Inodes removed.",
    ),
}


class XfsCollector:
    """Exports the operations of each filesystem."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/fs/xfs"

    def collect(self) -> list[Item]:
        """Return one sample per filesystem and counter.

        Raises:
            NoDataError: No XFS is mounted.
        """
        losses = Losses()
        samples: dict[Family, list[Sample]] = {family: [] for line in LINES.values() for family in line}
        # The kernel's own "stats", of all filesystems together, has no directory of this name.
        names = [name for name in self._host.entries(self._base) if name != "stats"]
        for name in names:
            with losses:
                text = self._host.read(f"{self._base}/{name}/stats/stats")
                for line in lines_of(text):
                    with losses:
                        self._add(line, name, samples)
        if not any(samples.values()) and not losses.count:
            raise NoDataError(f"{self._base}: no filesystem")
        return losses.settle(list(samples.items()))

    def _add(self, line: str, device: str, samples: dict[Family, list[Sample]]) -> None:
        key, *words = columns_of(line) or [""]
        families = LINES.get(key, ())
        if len(words) < len(families):
            raise CollectorError(f"xfs: the line {key} of {device} has {len(words)} of {len(families)} numbers")
        numbers = [whole(word, f"{key} of {device}") for word in words[: len(families)]]
        for family, number in zip(families, numbers, strict=True):
            samples[family].append(((device,), number))


SPEC = Spec("xfs", seldom(XfsCollector), "XFS filesystems")
