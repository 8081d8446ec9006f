"""Bonded network devices: /sys/class/net/bonding_masters (kernel: Documentation/networking/bonding.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Sample, gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

SLAVES = gauge("node_bonding_slaves", "Devices that a bond joins.", "master")
ACTIVE = gauge("node_bonding_active", "Devices of a bond whose link is up.", "master")


class BondingCollector:
    """Exports how many devices each bond has, and how many are up."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/net"

    def collect(self) -> list[Item]:
        """Return one sample per bond; none where the driver has no bond."""
        losses = Losses()
        slaves: list[Sample] = []
        active: list[Sample] = []
        for master in self._host.read(f"{self._base}/bonding_masters").split():
            with losses:
                directory = f"{self._base}/{_checked(master)}"
                members = [_checked(name) for name in self._host.read(f"{directory}/bonding/slaves").split()]
                slaves.append(((master,), len(members)))
                # A state that cannot be read costs the count: one too low would look like a failed link.
                active.append(((master,), sum(self._is_up(directory, member) for member in members)))
        return losses.settle([(SLAVES, slaves), (ACTIVE, active)])

    def _is_up(self, directory: str, member: str) -> bool:
        # Kernels before 3.9 write slave_ in place of lower_.
        for prefix in ("lower", "slave"):
            state = self._host.attribute(f"{directory}/{prefix}_{member}/bonding_slave/mii_status")
            if state is not None:
                return state == "up"
        raise CollectorError(f"{directory}: the state of {member} cannot be read")


def _checked(device: str) -> str:
    if "/" in device or "\0" in device:
        raise CollectorError(f"bonding: {device[:40]!r} is not the name of a network device")
    return device


SPEC = Spec("bonding", seldom(BondingCollector), "bonded network devices")
