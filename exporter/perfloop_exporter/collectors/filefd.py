"""Open file handles of the whole machine: /proc/sys/fs/file-nr (kernel: Documentation/admin-guide/sysctl/fs.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ALLOCATED = gauge("node_filefd_allocated", "File descriptor statistics: allocated.")
MAXIMUM = gauge("node_filefd_maximum", "File descriptor statistics: maximum.")


class FilefdCollector:
    """Exports the open file handles and their limit."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return the first and the third number; the second is always 0 since Linux 2.6 (proc_sys_fs(5))."""
        text = self._host.read_proc("sys/fs/file-nr")
        words = text.split()
        if len(words) != 3:  # noqa: PLR2004  # allocated, unused, maximum
            raise CollectorError(f"/proc/sys/fs/file-nr: '{text[:60].strip()}' is not three numbers")
        losses = Losses()
        readings: list[Reading] = []
        for family, word in ((ALLOCATED, words[0]), (MAXIMUM, words[2])):
            with losses:
                readings.append(single(family, whole(word, "/proc/sys/fs/file-nr")))
        return losses.settle(readings)


SPEC = Spec("filefd", FilefdCollector, "open files of the machine")
