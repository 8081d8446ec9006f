"""Interrupts by CPU and device: /proc/interrupts (kernel: Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Sample, counter
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Filter, Option, Spec, filter_options, pattern
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, LabelValues
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

INTERRUPTS = counter("node_interrupts_total", "Interrupts that a CPU has handled.", "cpu", "type", "info", "devices")
CPU = re.compile(r"CPU[0-9]+")


class Interrupt(NamedTuple):
    """One line: its name or number, what the kernel says of it, its devices, and the count of each CPU."""

    kind: str
    info: str
    devices: str
    counts: list[int]


def parse_cpus(header: str) -> list[str]:
    """Return the numbers of the CPUs of the columns: those that are offline have none.

    Raises:
        CollectorError: It is not the first line of /proc/interrupts.
    """
    columns = columns_of(header)
    if not columns or not all(CPU.fullmatch(column) for column in columns):
        raise CollectorError(f"/proc/interrupts: '{header[:60]}' is not a list of CPUs")
    return [column.removeprefix("CPU") for column in columns]


def parse_line(line: str, cpus: int) -> Interrupt | None:
    """Parse one line; None for the few that have one count for all CPUs, ERR and MIS.

    Raises:
        CollectorError: The line has no name, or a count that is no number.
    """
    kind, colon, rest = line.partition(":")
    if not colon:
        raise CollectorError(f"/proc/interrupts: '{line[:60]}' has no name")
    columns = columns_of(rest)
    # As in node_exporter an interrupt without a description is left out.
    if len(columns) <= cpus:
        return None
    counts = [whole(column, "/proc/interrupts") for column in columns[:cpus]]
    if min(counts, default=0) < 0:
        raise CollectorError(f"/proc/interrupts: '{line[:60]}' has a count less than 0")
    kind, texts = kind.strip(" "), columns[cpus:]
    if kind.isascii() and kind.isdigit():
        return Interrupt(kind, texts[0], " ".join(texts[1:]), counts)
    return Interrupt(kind, " ".join(texts), "", counts)


class InterruptsCollector:
    """Exports how often each CPU was interrupted, by interrupt: many series on machines with many CPUs."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        # node_exporter takes both patterns at once here, in spite of its help text.
        self._filter = Filter(
            *(pattern("interrupts", name, options.text(name)) for name in ("name-exclude", "name-include"))
        )
        self._zeros = options.switch("include-zeros")

    def collect(self) -> list[Item]:
        """Return one counter per interrupt and CPU."""
        losses = Losses()
        header, *lines = lines_of(self._host.read_proc("interrupts")) or [""]
        cpus = parse_cpus(header)
        # By labels: the name of an interrupt that two lines have counts once.
        samples: dict[LabelValues, int] = {}
        for line in lines:
            try:
                found = parse_line(line, len(cpus))
            except CollectorError as error:
                losses.note(error)
                continue
            if found is None or self._filter.skips(f"{found.kind};{found.info};{found.devices}"):
                continue
            for cpu, count in zip(cpus, found.counts, strict=True):
                if count or self._zeros:
                    samples[cpu, found.kind, found.info, found.devices] = count
        readings: list[Sample] = list(samples.items())
        return losses.settle([(INTERRUPTS, readings)])


SPEC = Spec(
    "interrupts",
    InterruptsCollector,
    "interrupts by CPU and device",
    (
        *filter_options("name", "interrupts, matched against NUMBER;INFO;DEVICES,"),
        Option("include-zeros", True, "export interrupts that a CPU never had"),  # noqa: FBT003  # a default
    ),
    default=False,
)
