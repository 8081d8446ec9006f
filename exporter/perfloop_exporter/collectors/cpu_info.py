"""What the CPUs are: /proc/cpuinfo (kernel: Documentation/filesystems/proc.rst)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Late, gauge
from perfloop_exporter.collectors.host import decimal, lines_of
from perfloop_exporter.collectors.spec import pattern
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    import re

    from perfloop_exporter.collectors.families import Reading, Sample, Verbatim
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# The label, and the field of /proc/cpuinfo that it comes from; fields that an architecture lacks are empty.
FIELDS = {
    "package": "physical id",
    "core": "core id",
    "cpu": "processor",
    "vendor": "vendor_id",
    "family": "cpu family",
    "model": "model",
    "model_name": "model name",
    "microcode": "microcode",
    "stepping": "stepping",
    "cachesize": "cache size",
}
INFO = gauge("node_cpu_info", "What a CPU is; always 1.", *FIELDS)
FREQUENCY = gauge("node_cpu_frequency_hertz", "Frequency of a CPU in /proc/cpuinfo.", "package", "core", "cpu")
MEGAHERTZ = 1_000_000
# Fields that are lists of words, all CPUs having the same: the family, the fields' names on x86, ARM and others.
FLAG = gauge("node_cpu_flag_info", "A feature of the first CPU; always 1.", "flag")
BUG = gauge("node_cpu_bug_info", "A bug of the first CPU that the kernel knows; always 1.", "bug")
FLAG_FIELDS = ("flags", "Features", "features")
BUG_FIELDS = ("bugs",)


def parse_processors(text: str) -> list[dict[str, str]]:
    """Parse /proc/cpuinfo: blocks of `FIELD : VALUE`, separated by empty lines."""
    processors: list[dict[str, str]] = []
    for block in text.strip().split("\n\n"):
        pairs = (line.partition(":") for line in lines_of(block))
        fields = {name.strip(): value.strip() for name, colon, value in pairs if colon}
        if "processor" in fields:
            processors.append(fields)
    return processors


class Info:
    """Reads the file where `--collector.cpu.info` or one of its filters asks for it; a filter includes the switch."""

    def __init__(self, options: Options) -> None:
        self._lists = [
            (family, fields, wanted)
            for family, fields, option in (
                (FLAG, FLAG_FIELDS, "info.flags-include"),
                (BUG, BUG_FIELDS, "info.bugs-include"),
            )
            if (wanted := pattern("cpu", option, options.text(option))) is not None
        ]
        self._wanted = options.switch("info") or bool(self._lists)

    def items(self, host: Host) -> list[Reading | Late]:
        """Return one sample per processor, and one per flag and bug that is asked for.

        Raises:
            CollectorError: The file cannot be read.
        """
        if not self._wanted:
            return []
        processors = parse_processors(host.read_proc("cpuinfo"))
        found: dict[str, Sample] = {}
        for fields in processors:
            labels = tuple(fields.get(field, "") for field in FIELDS.values())
            found[fields["processor"]] = (labels, 1)
        # The collector cpufreq exports the hardware's own frequency under the same name, where there is one.
        frequencies: list[Reading | Verbatim] = [(FREQUENCY, _frequencies(processors))]
        late = Late(lambda names: [] if FREQUENCY.name in names else frequencies)
        items: list[Reading | Late] = [(INFO, list(found.values())), late]
        for family, names, wanted in self._lists:
            items.append((family, _words(processors[:1], names, wanted)))
        return items


def _frequencies(processors: list[dict[str, str]]) -> list[Sample]:
    found: list[Sample] = []
    for fields in processors:
        with suppress(CollectorError):  # a field that not every architecture has
            hertz = decimal(fields.get("cpu MHz", ""), "/proc/cpuinfo") * MEGAHERTZ
            labels = fields.get("physical id", ""), fields.get("core id", ""), fields["processor"]
            found.append((labels, hertz))
    return found


def _words(processors: list[dict[str, str]], names: tuple[str, ...], wanted: re.Pattern[str]) -> list[Sample]:
    words = [word for fields in processors for name in names for word in fields.get(name, "").split()]
    return [((word,), 1) for word in dict.fromkeys(words) if wanted.search(word)]
