"""Memory errors that ECC detects: /sys/devices/system/edac/mc (kernel: Documentation/admin-guide/RAS)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import counter
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

CHANNEL_LABELS = ("controller", "csrow", "channel", "dimm_label")
CORRECTABLE = counter("node_edac_correctable_errors_total", "Memory errors that were corrected.", "controller")
UNCORRECTABLE = counter("node_edac_uncorrectable_errors_total", "Memory errors that were not corrected.", "controller")
ROW_CORRECTABLE = counter(
    "node_edac_csrow_correctable_errors_total", "Corrected errors of a chip-select row.", "controller", "csrow"
)
ROW_UNCORRECTABLE = counter(
    "node_edac_csrow_uncorrectable_errors_total", "Uncorrected errors of a chip-select row.", "controller", "csrow"
)
CHANNEL_CORRECTABLE = counter(
    "node_edac_channel_correctable_errors_total", "Corrected errors of a channel.", *CHANNEL_LABELS
)
CHANNEL_UNCORRECTABLE = counter(
    "node_edac_channel_uncorrectable_errors_total", "Uncorrected errors of a channel.", *CHANNEL_LABELS
)
FAMILIES = (
    *(CORRECTABLE, UNCORRECTABLE, ROW_CORRECTABLE, ROW_UNCORRECTABLE),
    *(CHANNEL_CORRECTABLE, CHANNEL_UNCORRECTABLE),
)
CONTROLLER, ROW, CHANNEL = re.compile(r"mc(\d+)"), re.compile(r"csrow(\d+)"), re.compile(r"ch(\d+)_ce_count")


def dimm_label(text: str | None) -> str:
    """Return the label of a memory module as node_exporter writes it: mc#0csrow#1channel#0 as mc0_csrow1_channel0."""
    if text is None:
        return "unknown"
    return text.replace("#", "").replace("csrow", "_csrow").replace("channel", "_channel")


class EdacCollector:
    """Exports the errors of every memory controller, its rows and their channels."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/devices/system/edac/mc"

    def collect(self) -> list[Item]:
        """Return one counter each.

        Raises:
            NoDataError: No driver has found a memory controller with ECC.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, FAMILIES)
        controllers = [match for name in self._host.entries(self._base) if (match := CONTROLLER.fullmatch(name))]
        if not controllers:
            raise NoDataError(f"{self._base}: no memory controller")
        for match in controllers:
            with losses:
                self._read_controller(match[1], f"{self._base}/{match[0]}", numbers)
        return losses.settle(numbers.readings())

    def _read_controller(self, number: str, path: str, numbers: Numbers) -> None:
        numbers.add_files(path, {"ce_count": CORRECTABLE, "ue_count": UNCORRECTABLE}, (number,))
        # Errors that the driver cannot attribute to a row.
        unknown = {"ce_noinfo_count": ROW_CORRECTABLE, "ue_noinfo_count": ROW_UNCORRECTABLE}
        numbers.add_files(path, unknown, (number, "unknown"))
        for row in filter(None, map(ROW.fullmatch, self._host.entries(path))):
            self._read_row((number, row[1]), f"{path}/{row[0]}", numbers)

    def _read_row(self, labels: tuple[str, str], path: str, numbers: Numbers) -> None:
        numbers.add_files(path, {"ce_count": ROW_CORRECTABLE, "ue_count": ROW_UNCORRECTABLE}, labels)
        for match in filter(None, map(CHANNEL.fullmatch, self._host.entries(path))):
            channel = match[1]
            label = dimm_label(self._host.attribute(f"{path}/ch{channel}_dimm_label"))
            counts = {
                f"ch{channel}_ce_count": CHANNEL_CORRECTABLE,
                f"ch{channel}_ue_count": CHANNEL_UNCORRECTABLE,
            }
            numbers.add_files(path, counts, (*labels, channel, label))


SPEC = Spec("edac", seldom(EdacCollector), "memory errors")
