"""Tape drives: /sys/class/scsi_tape/st*/stats (kernel: Documentation/scsi/st.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import counter, gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

COUNTS = {
    "in_flight": gauge("node_tape_io_now", "Requests that the drive works on.", "device"),
    "other_cnt": counter("node_tape_io_others_total", "Requests that neither read nor write.", "device"),
    "read_byte_cnt": counter("node_tape_read_bytes_total", "Bytes read.", "device"),
    "read_cnt": counter("node_tape_reads_completed_total", "Requests to read.", "device"),
    "resid_cnt": counter("node_tape_residual_total", "Requests that read or wrote less than was asked for.", "device"),
    "write_byte_cnt": counter("node_tape_written_bytes_total", "Bytes written.", "device"),
    "write_cnt": counter("node_tape_writes_completed_total", "Requests to write.", "device"),
}
TIMES = {
    "io_ns": counter(
        "node_tape_io_time_seconds_total", "Time spent on all requests, tape movements included.", "device"
    ),
    "read_ns": counter("node_tape_read_time_seconds_total", "Time spent on reading.", "device"),
    "write_ns": counter("node_tape_write_time_seconds_total", "Time spent on writing.", "device"),
}
NANOSECOND = 1e-9
# The class has a device for each way to use a drive: nst0 does not rewind, st0a has another density.
DRIVE = re.compile(r"st[0-9]+")


class TapestatsCollector:
    """Exports requests, bytes and times of every tape drive."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/scsi_tape"
        self._ignored = pattern("tapestats", "ignored-devices", options.text("ignored-devices"))

    def collect(self) -> list[Item]:
        """Return one sample per drive and file.

        Raises:
            NoDataError: The machine has no tape drive.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, (*COUNTS.values(), *TIMES.values()))
        drives = [name for name in self._host.entries(self._base) if DRIVE.fullmatch(name)]
        if not drives:
            raise NoDataError(f"{self._base}: no tape drive")
        for drive in drives:
            if self._ignored is not None and self._ignored.search(drive):
                continue
            path = f"{self._base}/{drive}/stats"
            numbers.add_files(path, COUNTS, (drive,))
            for file, family in TIMES.items():
                nanoseconds = numbers.read(f"{path}/{file}")
                numbers.add(family, (drive,), None if nanoseconds is None else nanoseconds * NANOSECOND)
        return losses.settle(numbers.readings())


SPEC = Spec(
    "tapestats",
    seldom(TapestatsCollector),
    "tape drives",
    (Option("ignored-devices", "^$", "regular expression of drives to leave out"),),
)
