"""The kernel's entropy pool: /proc/sys/kernel/random (kernel: Documentation/admin-guide/sysctl/kernel.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FILES = {
    "entropy_avail": gauge("node_entropy_available_bits", "Bits of available entropy."),
    "poolsize": gauge("node_entropy_pool_size_bits", "Bits of the entropy pool."),
}


class EntropyCollector:
    """Exports the available entropy and the pool's size, in bits."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one gauge per file."""
        losses = Losses()
        readings: list[Reading] = []
        for file, family in FILES.items():
            with losses:
                readings.append(single(family, whole(self._host.read_proc(f"sys/kernel/random/{file}").strip(), file)))
        return losses.settle(readings)


SPEC = Spec("entropy", EntropyCollector, "the kernel's entropy pool")
