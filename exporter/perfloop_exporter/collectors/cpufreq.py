"""CPU frequencies and governors: /sys/devices/system/cpu/cpu*/cpufreq.

Source: kernel Documentation/admin-guide/pm/cpufreq.rst; the files are in kHz.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Sample, gauge
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

KILOHERTZ = 1000
CPUS = "devices/system/cpu"


def _hertz(name: str, help_: str) -> Family:
    return gauge(f"node_cpu_{name}_hertz", help_, "cpu")


FILES: dict[str, Family] = {
    "cpuinfo_cur_freq": _hertz("frequency", "Frequency that the hardware runs at."),
    "cpuinfo_avg_freq": _hertz("frequency_avg", "Average frequency of the hardware."),
    "cpuinfo_min_freq": _hertz("frequency_min", "Lowest frequency that the hardware can run at."),
    "cpuinfo_max_freq": _hertz("frequency_max", "Highest frequency that the hardware can run at."),
    "scaling_cur_freq": _hertz("scaling_frequency", "Frequency that the kernel asked for."),
    "scaling_min_freq": _hertz("scaling_frequency_min", "Lowest frequency that the kernel may ask for."),
    "scaling_max_freq": _hertz("scaling_frequency_max", "Highest frequency that the kernel may ask for."),
}
GOVERNOR = gauge("node_cpu_scaling_governor", "Whether the governor is the one in charge.", "cpu", "governor")


class CpufreqCollector:
    """Exports the frequencies and the governor of each CPU that supports frequency scaling."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one family per file; without frequency scaling, as on most virtual machines, no samples."""
        losses = Losses()
        samples: dict[Family, list[Sample]] = {family: [] for family in (*FILES.values(), GOVERNOR)}
        base = f"{self._host.sys}/{CPUS}"
        for entry in self._host.entries(base):
            cpu = entry.removeprefix("cpu")
            if not cpu.isdigit():
                continue
            directory = f"{base}/{entry}/cpufreq"
            if not os.path.isdir(directory):  # noqa: PTH112  # one stat per CPU, no path built per scrape
                continue
            for file, family in FILES.items():
                text = self._host.attribute(f"{directory}/{file}")
                with losses:
                    if text:
                        samples[family].append(((cpu,), whole(text, f"{file} of cpu {cpu}") * KILOHERTZ))
            governor = self._host.attribute(f"{directory}/scaling_governor")
            if governor:
                known = self._host.attribute(f"{directory}/scaling_available_governors") or governor
                samples[GOVERNOR].extend(((cpu, name), int(name == governor)) for name in known.split())
        return losses.settle(list(samples.items()))


SPEC = Spec("cpufreq", CpufreqCollector, "frequencies of CPUs")
