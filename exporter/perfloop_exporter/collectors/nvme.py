"""NVMe controllers and their namespaces: /sys/class/nvme (kernel: drivers/nvme/host/sysfs.c)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# The label, and the file that has it.
PROPERTIES = {
    "firmware_revision": "firmware_rev",
    "model": "model",
    "serial": "serial",
    "state": "state",
    "cntlid": "cntlid",
}
INFO = gauge("node_nvme_info", "What a controller is; always 1.", "device", *PROPERTIES)
NAMESPACE_INFO = gauge(
    "node_nvme_namespace_info", "State of the path to a namespace; always 1.", "device", "nsid", "ana_state"
)
CAPACITY = gauge("node_nvme_namespace_capacity_bytes", "Capacity of a namespace.", "device", "nsid")
SIZE = gauge("node_nvme_namespace_size_bytes", "Size of a namespace.", "device", "nsid")
USED = gauge("node_nvme_namespace_used_bytes", "Space of a namespace that is allocated.", "device", "nsid")
BLOCK = gauge("node_nvme_namespace_logical_block_size_bytes", "Size of a logical block.", "device", "nsid")
NAMESPACE = re.compile(r"nvme\d+n(\d+)")
# The kernel counts the size of every block device in these units, whatever the size of its blocks.
SECTOR_BYTES = 512


class NvmeCollector:
    """Exports what each controller is, and the sizes of its namespaces."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/nvme"

    def collect(self) -> list[Item]:
        """Return one sample per controller and per namespace.

        Raises:
            NoDataError: There is no controller.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, (INFO, NAMESPACE_INFO, CAPACITY, SIZE, USED, BLOCK))
        devices = self._host.entries(self._base)
        if not devices:
            raise NoDataError(f"{self._base}: no controller")
        for device in devices:
            with losses:
                entries = self._host.entries(f"{self._base}/{device}")
                values = (self._host.attribute(f"{self._base}/{device}/{file}") or "" for file in PROPERTIES.values())
                numbers.add(INFO, (device, *values), 1)
                for match in filter(None, map(NAMESPACE.fullmatch, entries)):
                    self._read_namespace((device, match[1]), f"{self._base}/{device}/{match[0]}", numbers)
        return losses.settle(numbers.readings())

    def _read_namespace(self, labels: tuple[str, str], path: str, numbers: Numbers) -> None:
        state = self._host.attribute(f"{path}/ana_state") or "unknown"
        numbers.add(NAMESPACE_INFO, (*labels, state), 1)
        sectors = numbers.read(f"{path}/size")
        if sectors is not None:
            numbers.add(SIZE, labels, sectors * SECTOR_BYTES)
            numbers.add(CAPACITY, labels, sectors * SECTOR_BYTES)
        block = numbers.read(f"{path}/queue/logical_block_size")
        numbers.add(BLOCK, labels, block)
        # Kernels before 6.8 do not report how much is in use.
        used = numbers.read(f"{path}/nuse")
        if block is not None and used is not None:
            numbers.add(USED, labels, used * block)


SPEC = Spec("nvme", seldom(NvmeCollector), "NVMe controllers and namespaces")
