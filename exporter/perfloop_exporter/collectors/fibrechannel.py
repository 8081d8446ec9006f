"""Fibre Channel hosts: /sys/class/fc_host (kernel: drivers/scsi/scsi_transport_fc.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import counter, gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

PROPERTIES = (
    *("speed", "port_state", "port_type", "port_id", "port_name", "fabric_name", "symbolic_name"),
    *("supported_classes", "supported_speeds", "dev_loss_tmo"),
)
# Numbers in hexadecimal, whose 0x the labels leave out.
HEXADECIMAL = frozenset(("port_id", "port_name", "fabric_name"))
INFO = gauge("node_fibrechannel_info", "What a host is connected to; always 1.", "fc_host", *PROPERTIES)
# By file of the directory statistics.
COUNTERS = {
    file: counter(f"node_fibrechannel_{name}_total", help_, "fc_host")
    for file, name, help_ in (
        ("dumped_frames", "dumped_frames", "Frames that were dropped since a buffer was missing."),
        ("error_frames", "error_frames", "Frames with errors."),
        ("invalid_crc_count", "invalid_crc", "Frames with a wrong checksum."),
        ("rx_frames", "rx_frames", "Frames received."),
        ("rx_words", "rx_words", "Words received."),
        ("tx_frames", "tx_frames", "Frames sent."),
        ("tx_words", "tx_words", "Words sent."),
        ("seconds_since_last_reset", "seconds_since_last_reset", "Seconds since the host was reset."),
        ("invalid_tx_word_count", "invalid_tx_words", "Words that are not valid."),
        ("link_failure_count", "link_failure", "Failures of the link."),
        ("loss_of_sync_count", "loss_of_sync", "Losses of synchronization."),
        ("loss_of_signal_count", "loss_of_signal", "Losses of the signal."),
        ("nos_count", "nos", "Sequences received that say that the port is not operational."),
        ("fcp_packet_aborts", "fcp_packet_aborts", "Packets that were aborted."),
    )
}
# The value of a counter that a driver does not have.
NOT_COUNTED = (1 << 64) - 1


class FibreChannelCollector:
    """Exports what each host is connected to, and its counters."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/fc_host"

    def collect(self) -> list[Item]:
        """Return one sample per host and counter; a counter that the driver does not have is left out.

        Raises:
            NoDataError: There is no Fibre Channel host.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, (INFO, *COUNTERS.values()))
        names = self._host.entries(self._base)
        if not names:
            raise NoDataError(f"{self._base}: no host")
        for name in names:
            numbers.add(INFO, (name, *(self._property(name, file) for file in PROPERTIES)), 1)
            for file, family in COUNTERS.items():
                # Drivers write decimal or, as the kernel's own code does, hexadecimal numbers.
                value = numbers.read(f"{self._base}/{name}/statistics/{file}", base=0)
                numbers.add(family, (name,), None if value == NOT_COUNTED else value)
        return losses.settle(numbers.readings())

    def _property(self, name: str, file: str) -> str:
        text = self._host.attribute(f"{self._base}/{name}/{file}") or ""
        return text.removeprefix("0x") if file in HEXADECIMAL else text


SPEC = Spec("fibrechannel", seldom(FibreChannelCollector), "Fibre Channel hosts")
