"""Swap devices and their usage: /proc/swaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

SIZE = gauge("node_swap_size_bytes", "Size of a swap device.", "device", "swap_type")
USED = gauge("node_swap_used_bytes", "How much of a swap device is used.", "device", "swap_type")
PRIORITY = gauge("node_swap_priority", "Priority of a swap device.", "device", "swap_type")
KIB = 1024


class Swap(NamedTuple):
    """One line of /proc/swaps: labels (device, type), size and usage in bytes, priority."""

    labels: tuple[str, str]
    size: int
    used: int
    priority: int


def parse_swap(line: str) -> Swap:
    """Parse `FILENAME TYPE SIZE USED PRIORITY`, sizes in KiB (proc_swaps(5)); spaces in names are octal escapes.

    Raises:
        CollectorError: The line does not have this form.
    """
    words = columns_of(line)
    if len(words) != 5:  # noqa: PLR2004  # the columns above
        raise CollectorError(f"/proc/swaps: '{line[:60]}' is not a swap device")
    size, used, priority = (whole(word, "/proc/swaps") for word in words[2:])
    return Swap((words[0], words[1]), size * KIB, used * KIB, priority)


class SwapCollector:
    """Exports size, usage and priority of each swap device."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one sample per device; none on a machine without swap."""
        losses = Losses()
        swaps: list[Swap] = []
        for line in lines_of(self._host.read_proc("swaps"))[1:]:
            with losses:
                swaps.append(parse_swap(line))
        return losses.settle(
            [
                (SIZE, [(swap.labels, swap.size) for swap in swaps]),
                (USED, [(swap.labels, swap.used) for swap in swaps]),
                (PRIORITY, [(swap.labels, swap.priority) for swap in swaps]),
            ]
        )


SPEC = Spec("swap", SwapCollector, "swap devices", default=False)
