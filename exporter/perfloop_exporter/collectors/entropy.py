"""How much randomness the kernel has at hand: /proc/sys/kernel/random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, gauge, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FILES = {
    "entropy_avail": gauge("node_entropy_available_bits", "Bits of entropy at hand."),
    "poolsize": gauge("node_entropy_pool_size_bits", "Bits of the entropy pool."),
}


class EntropyCollector:
    """Tells the bits at hand and the size of the pool."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """One gauge per file."""
        return [
            single(family, whole(self._host.read_proc(f"sys/kernel/random/{file}").strip(), file))
            for file, family in FILES.items()
        ]


SPEC = Spec("entropy", EntropyCollector, "the kernel's randomness")
