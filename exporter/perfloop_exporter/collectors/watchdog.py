"""Watchdog timers: /sys/class/watchdog (kernel: Documentation/ABI/testing/sysfs-class-watchdog)."""

from __future__ import annotations

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

NUMBERS = {
    "access_cs0": gauge("node_watchdog_access_cs0", "Whether the machine was booted from its second flash.", "name"),
    "bootstatus": gauge("node_watchdog_bootstatus", "Why the machine was booted, WDIOF_* flags of the driver.", "name"),
    "fw_version": gauge("node_watchdog_fw_version", "Version of the firmware of the timer.", "name"),
    "nowayout": gauge("node_watchdog_nowayout", "Whether the timer cannot be stopped once it runs.", "name"),
    "pretimeout": gauge(
        "node_watchdog_pretimeout_seconds", "How long before the reset the kernel gets notice.", "name"
    ),
    "timeleft": gauge("node_watchdog_timeleft_seconds", "Time left until the machine is reset.", "name"),
    "timeout": gauge("node_watchdog_timeout_seconds", "How long the timer waits for a sign of life.", "name"),
}
TEXTS = ("options", "identity", "state", "status", "pretimeout_governor")
INFO = gauge("node_watchdog_info", "What a watchdog timer is, and whether it runs; always 1.", "name", *TEXTS)


class WatchdogCollector:
    """Exports every timer; what its driver does not have is left out."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/watchdog"

    def collect(self) -> list[Item]:
        """Return one sample per timer and file.

        Raises:
            NoDataError: The machine has no watchdog timer.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, (*NUMBERS.values(), INFO))
        names = self._host.entries(self._base)
        if not names:
            raise NoDataError(f"{self._base}: no watchdog timer")
        for name in names:
            path = f"{self._base}/{name}"
            for file, family in NUMBERS.items():
                # The two versions and flags are signed in some drivers.
                numbers.add(family, (name,), numbers.read(f"{path}/{file}", least=None))
            texts = (self._host.attribute(f"{path}/{file}") or "" for file in TEXTS)
            numbers.add(INFO, (name, *texts), 1)
        return losses.settle(numbers.readings())


SPEC = Spec("watchdog", seldom(WatchdogCollector), "watchdog timers")
