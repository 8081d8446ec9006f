"""The machine's make, model and firmware: /sys/class/dmi/id (kernel: drivers/firmware/dmi-id.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# Labels by file; only root may read the serial numbers and the UUID.
LABELS = {
    **{f"bios_{part}": f"bios_{part}" for part in ("date", "release", "vendor", "version")},
    **{f"board_{part}": f"board_{part}" for part in ("asset_tag", "name", "serial", "vendor", "version")},
    **{f"chassis_{part}": f"chassis_{part}" for part in ("asset_tag", "serial", "vendor", "version")},
    **{f"product_{part}": f"product_{part}" for part in ("family", "name", "serial", "sku", "uuid", "version")},
    "sys_vendor": "system_vendor",
}
HELP = "What the firmware says of itself, the board, the chassis and the product; always 1."


class DmiCollector:
    """Exports what the firmware says; it is read once, since it changes only when the machine is booted."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/dmi/id"
        self._reading: Reading | None = None

    def collect(self) -> list[Item]:
        """Return one sample, with a label for every file that can be read.

        Raises:
            NoDataError: The firmware has no such table, as on most ARM boards, or none of it can be read.
        """
        if self._reading is None:
            self._reading = self._read()
        return [self._reading]

    def _read(self) -> Reading:
        found = {label: self._host.attribute(f"{self._base}/{file}") for file, label in LABELS.items()}
        texts = {label: text for label, text in found.items() if text is not None}
        if not texts:
            raise NoDataError(f"{self._base}: no file that can be read")
        return gauge("node_dmi_info", HELP, *texts), [(tuple(texts.values()), 1)]


SPEC = Spec("dmi", seldom(DmiCollector), "make, model and firmware of the machine")
