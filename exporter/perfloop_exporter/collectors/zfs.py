"""ZFS: /proc/spl/kstat/zfs (OpenZFS: module/os/linux/spl/spl-kstat.c, module/zfs).

Each file is a heading, a line `name type data`, and one line per value; a directory per pool has the pool's own.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Sample, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

STATE = gauge("node_zfs_zpool_state", "Whether a pool is in a state: 1 for the one it is in.", "zpool", "state")
STATES = ("online", "degraded", "faulted", "offline", "removed", "unavail", "suspended")
# The files of the module, and the prefix of their metrics.
FILES = {
    "abdstats": "zfs_abd",
    "arcstats": "zfs_arc",
    "dbufstats": "zfs_dbuf",
    "dmu_tx": "zfs_dmu_tx",
    "dnodestats": "zfs_dnode",
    "fm": "zfs_fm",
    "vdev_cache_stats": "zfs_vdev_cache",
    "vdev_mirror_stats": "zfs_vdev_mirror",
    "xuio_stats": "zfs_xuio",
    "zfetchstats": "zfs_zfetch",
    "zil": "zfs_zil",
}
HEADING = ["name", "type", "data"]
# KSTAT_DATA_INT64 and KSTAT_DATA_UINT64 of sys/kstat.h; values of other types are not exported.
NUMBERS = frozenset(("3", "4"))
# KSTAT_TYPE_IO, the pool's file io of releases before 2.1: names, then their values.
IO_COLUMNS = 12
METRIC_PART = re.compile(r"[A-Za-z0-9_]+")
Samples = dict[Family, list[Sample]]


def parse_values(text: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and value of each line below the heading; a value may have spaces.

    Raises:
        CollectorError: There is no heading.
    """
    lines = iter(lines_of(text))
    if all(columns_of(line) != HEADING for line in lines):
        raise CollectorError(f"{where}: there is no line 'name type data'")
    for line in lines:
        words = line.split(None, 2)
        if len(words) == len(HEADING):
            yield words[0], words[1], words[2].strip()


class ZfsCollector:
    """Exports every number of the module, of each pool and of each dataset; the names are those of the files."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.proc}/spl/kstat/zfs"
        self._families: dict[str, Family] = {}

    def collect(self) -> list[Item]:
        """Return one untyped family per name, as node_exporter does, since the files do not say what counts."""
        losses = Losses()
        samples: Samples = {}
        names = self._host.entries(self._base)
        for file, prefix in FILES.items():
            if file in names:
                with losses:
                    self._add_file(file, prefix, samples, losses)
        for pool in names:
            # A pool that is exported now is gone at the next file; NoDataError is no loss.
            with losses:
                self._add_pool(pool, samples, losses)
        return losses.settle(list(samples.items()))

    def _add_file(self, file: str, prefix: str, samples: Samples, losses: Losses) -> None:
        for name, kind, value in parse_values(self._host.read(f"{self._base}/{file}"), file):
            if kind in NUMBERS:
                with losses:
                    self._add(f"{prefix}_{name}", f"{file}.{name}", {}, value, samples)

    def _add_pool(self, pool: str, samples: Samples, losses: Losses) -> None:
        for file in self._host.entries(f"{self._base}/{pool}"):
            path = f"{self._base}/{pool}/{file}"
            with losses:
                if file == "io":
                    self._add_io(pool, self._host.read(path), samples)
                elif file == "state":
                    state = self._host.read(path).strip().lower()
                    samples.setdefault(STATE, []).extend(((pool, one), int(one == state)) for one in STATES)
                elif file.startswith("objset-"):
                    self._add_dataset(pool, self._host.read(path, "surrogateescape"), samples, losses)

    def _add_io(self, pool: str, text: str, samples: Samples) -> None:
        rows = [columns_of(line) for line in lines_of(text)]
        for names, values in pairwise(rows):
            if names[:1] == ["nread"] and len(names) >= IO_COLUMNS:
                if len(values) != len(names):
                    raise CollectorError(f"zfs: io of {pool} has {len(values)} values for {len(names)} names")
                for name, value in zip(names, values, strict=True):
                    self._add(f"zfs_zpool_{name}", f"io.{name}", {"zpool": pool}, value, samples)

    def _add_dataset(self, pool: str, text: str, samples: Samples, losses: Losses) -> None:
        dataset = ""
        for name, kind, value in parse_values(text, f"objset of {pool}"):
            if name == "dataset_name":
                dataset = value
            elif kind == "4" and dataset:
                labels = {"zpool": pool, "dataset": dataset}
                with losses:
                    self._add(f"zfs_zpool_dataset_{name}", f"objset.{name}", labels, value, samples)

    def _add(self, name: str, key: str, labels: Mapping[str, str], text: str, samples: Samples) -> None:
        number = whole(text, key)
        family = self._families.get(name)
        if family is None:
            clean = name.replace("-", "_")
            if METRIC_PART.fullmatch(clean) is None:
                raise CollectorError(f"zfs: '{key[:60]}' cannot be the name of a metric")
            family = Family(f"node_{clean}", "untyped", f"kstat.zfs.misc.{key}", tuple(labels))
            self._families[name] = family
        found = samples.setdefault(family, [])
        values = tuple(labels.values())
        # A damaged file can have a name twice.
        if not found or found[-1][0] != values:
            found.append((values, number))


SPEC = Spec("zfs", seldom(ZfsCollector), "ZFS")
