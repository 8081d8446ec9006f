"""Kernel statistics since boot: /proc/stat (kernel: Documentation/filesystems/proc.rst, section 1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, Sample, counter, gauge, single
from perfloop_exporter.collectors.host import lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FAMILIES: dict[str, Family] = {
    "intr": counter("node_intr_total", "Interrupts served."),
    "ctxt": counter("node_context_switches_total", "Context switches."),
    "processes": counter("node_forks_total", "Forks."),
    "btime": gauge("node_boot_time_seconds", "When the machine booted, in unix time."),
    "procs_running": gauge("node_procs_running", "Processes that run or could run."),
    "procs_blocked": gauge("node_procs_blocked", "Processes that wait for I/O."),
}
SOFTIRQS = counter("node_softirqs_total", "Soft interrupts served.", "vector")
# The columns of the softirq line after its total, kernel: include/linux/interrupt.h.
VECTORS = ("hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu")


def parse_totals(text: str) -> dict[str, list[str]]:
    """Split the lines of /proc/stat that are not about a CPU.

    Returns:
        Words by the line's name; the hundreds of numbers after the totals of `intr` stay one unsplit word.
    """
    lines = (line for line in lines_of(text) if not line.startswith("cpu"))
    return {name: rest.split(" ", len(VECTORS) + 1) for name, _, rest in (line.partition(" ") for line in lines)}


class StatCollector:
    """Exports boot time, forks, context switches, interrupts, and processes that run or are blocked."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._softirq = options.switch("softirq")

    def collect(self) -> list[Item]:
        """Return one family per line of the file."""
        losses = Losses()
        totals = parse_totals(self._host.read_proc("stat"))
        readings: list[Reading] = []
        for name, family in FAMILIES.items():
            with losses:
                if name not in totals:
                    raise CollectorError(f"/proc/stat has no line {name}")
                readings.append(single(family, whole(totals[name][0], f"/proc/stat: {name}")))
        if self._softirq:
            words = totals.get("softirq", ["0"])[1:]
            samples: list[Sample] = []
            for vector, word in zip(VECTORS, words, strict=False):
                with losses:
                    samples.append(((vector,), whole(word, "/proc/stat: softirq")))
            readings.append((SOFTIRQS, samples))
        return losses.settle(readings)


SPEC = Spec(
    "stat",
    StatCollector,
    "boot time, forks, context switches and interrupts",
    (Option("softirq", False, "export node_softirqs_total"),),  # noqa: FBT003  # a switch that is off
)
