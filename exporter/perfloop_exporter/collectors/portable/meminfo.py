"""Where the memory went, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.families import Reading, gauge, single
from perfloop_exporter.collectors.meminfo import field_family
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# The Linux names, so that rules and dashboards need to know no other; then node_exporter's own for macOS.
LINUX = {"total": "MemTotal", "available": "MemAvailable", "free": "MemFree"}
LINUX_SWAP = {"total": "SwapTotal", "free": "SwapFree"}
DARWIN = ("total", "free", "active", "inactive", "wired")
DARWIN_SWAP = ("total", "used")


class MeminfoCollector:
    """Tells memory and swap."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """One gauge per figure that the system has."""
        memory, swap = psutil.virtual_memory()._asdict(), psutil.swap_memory()._asdict()
        named = [(field_family(name, "kB"), memory[key]) for key, name in LINUX.items() if key in memory]
        named += [(field_family(name, "kB"), swap[key]) for key, name in LINUX_SWAP.items()]
        if "wired" in memory:
            named += [(_darwin(key), memory[key]) for key in DARWIN]
            named += [(_darwin(f"swap_{key}"), swap[key]) for key in DARWIN_SWAP]
        return [single(family, value) for family, value in named]


def _darwin(name: str) -> Family:
    return gauge(f"node_memory_{name}_bytes", f"Memory information field {name}_bytes.")


SPEC = Spec("meminfo", MeminfoCollector, "memory by use")
