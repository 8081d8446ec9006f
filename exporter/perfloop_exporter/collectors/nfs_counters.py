"""The form of /proc/net/rpc/nfs and nfsd: lines `KEY NUMBER…` (kernel: net/sunrpc/stats.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.collectors.families import Sample

# Procedures in the order of the protocols (RFC 1094 and RFC 1813), under node_exporter's names.
VERSION_2 = tuple(
    "Null GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create Remove Rename Link SymLink MkDir RmDir ReadDir"  # noqa: SIM905  # one line
    " FsStat".split()
)
VERSION_3 = tuple(
    "Null GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir SymLink MkNod Remove RmDir Rename Link ReadDir"  # noqa: SIM905  # one line
    " ReadDirPlus FsStat FsInfo PathConf Commit".split()
)
# Older kernels have a histogram, with fractions, behind the number of threads.
THREADS = "th"


class Counters:
    """The lines of one file by key; a damaged line is a loss, and one that the kernel does not write is zeros."""

    def __init__(self, text: str, where: str) -> None:
        self.losses = Losses()
        self._where = where
        self._lines: dict[str, list[int]] = {}
        self._damaged: set[str] = set()
        for line in lines_of(text):
            key, *words = columns_of(line) or [""]
            try:
                self._lines[key] = [whole(word, where) for word in (words[:1] if key == THREADS else words)]
            except CollectorError as error:
                self._damaged.add(key)
                self.losses.note(error)

    def numbers(self, key: str, count: int) -> list[int] | None:
        """Return the first numbers of a line.

        Args:
            key: The word that the line begins with.
            count: How many numbers are wanted.

        Returns:
            None, and a loss is noted, where the line is damaged or has fewer numbers.
        """
        if key in self._damaged:
            return None
        found = self._lines.get(key)
        if found is None:
            return [0] * count
        if len(found) < count or min(found, default=0) < 0:
            self.losses.note(CollectorError(f"{self._where}: the line {key} does not have {count} numbers"))
            return None
        return found[:count]

    def procedures(self, key: str, names: Iterable[str]) -> dict[str, int]:
        """Return the calls of each procedure, of a line that begins with how many procedures it has.

        Kernels that are older or newer than the names have fewer or more procedures.
        """
        line = self.numbers(key, 1)
        if line is None:
            return {}
        given = self._lines.get(key, [0])
        if given[0] != len(given) - 1:
            self.losses.note(CollectorError(f"{self._where}: the line {key} announces {given[0]} numbers"))
            return {}
        calls = [*given[1:]]
        return {name: calls[index] if index < len(calls) else 0 for index, name in enumerate(names)}


def by_method(protocol: str, calls: dict[str, int]) -> list[Sample]:
    """Return samples with the labels protocol and method."""
    return [((protocol, method), count) for method, count in calls.items()]
