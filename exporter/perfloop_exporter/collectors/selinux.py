"""SELinux: /sys/fs/selinux and /etc/selinux/config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.collectors.host import lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ENABLED = gauge("node_selinux_enabled", "Whether SELinux is on.")
CONFIGURED = gauge(
    "node_selinux_config_mode", "Mode after the next boot: 1 enforces, 0 only logs what it would refuse, -1 is off."
)
CURRENT = gauge("node_selinux_current_mode", "Mode now: 1 enforces, 0 only logs what it would refuse.")
MODES = {"enforcing": 1, "permissive": 0, "disabled": -1}
# The label of every process until a policy has been loaded.
NO_POLICY = "kernel"


def parse_config(text: str) -> int:
    """Return the mode in /etc/selinux/config, -1 where it sets none; of several lines the first one counts."""
    for line in lines_of(text):
        key, _, value = line.partition("=")
        if key.strip() == "SELINUX":
            return MODES.get(value.strip().strip('"').lower(), -1)
    return -1


class SelinuxCollector:
    """Exports whether SELinux is on, and its mode now and after the next boot."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one gauge where SELinux is off, else three."""
        # A kernel with SELinux has the empty directory where it is off.
        enforce = self._host.attribute(f"{self._host.sys}/fs/selinux/enforce")
        if enforce is None or self._lacks_policy():
            return [single(ENABLED, 0)]
        losses = Losses()
        readings: list[Reading] = [single(ENABLED, 1)]
        config = f"{self._host.root.rstrip('/')}/etc/selinux/config"
        with losses:
            readings.append(single(CONFIGURED, self._read_config(config)))
        with losses:
            readings.append(single(CURRENT, whole(enforce, "/sys/fs/selinux/enforce")))
        return losses.settle(readings)

    def _lacks_policy(self) -> bool:
        return (self._host.attribute(f"{self._host.proc}/self/attr/current") or "").rstrip("\0") == NO_POLICY

    def _read_config(self, path: str) -> int:
        try:
            return parse_config(self._host.read(path))
        except NoDataError:
            # SELinux itself takes a missing file for disabled.
            return -1


SPEC = Spec("selinux", SelinuxCollector, "SELinux mode")
