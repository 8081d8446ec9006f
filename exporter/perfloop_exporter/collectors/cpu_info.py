"""Which processors these are: /proc/cpuinfo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, Sample, gauge

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host

# The label and the field of the file that it comes from; fields that another architecture lacks are empty.
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


def parse_processors(text: str) -> list[dict[str, str]]:
    """The fields of each processor; an empty line stands between them."""
    processors: list[dict[str, str]] = []
    for block in text.strip().split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        fields = {name.strip(): value.strip() for name, colon, value in pairs if colon}
        if "processor" in fields:
            processors.append(fields)
    return processors


def read_info(host: Host) -> Reading:
    """One sample per processor."""
    found: dict[str, Sample] = {}
    for fields in parse_processors(host.read_proc("cpuinfo")):
        labels = tuple(fields.get(field, "") for field in FIELDS.values())
        found[fields["processor"]] = (labels, 1)
    return INFO, list(found.values())
