"""Memory statistics: /proc/meminfo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, gauge, single
from perfloop_exporter.collectors.host import lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

KIB = 1024
FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\([a-z_]+\))?")


def field_family(field: str, unit: str) -> Family:
    """Return the family of a field: `Active(anon)` in kB is node_memory_Active_anon_bytes.

    Raises:
        CollectorError: The field's name would not make a valid metric name.
    """
    if not FIELD.fullmatch(field):
        raise CollectorError(f"/proc/meminfo: '{field[:40]}' is not a field's name")
    name = field.replace("(", "_").replace(")", "")
    name = f"{name}_bytes" if unit else name
    return gauge(f"node_memory_{name}", f"Memory information field {name}.")


class MeminfoCollector:
    """Exports every field of the file; what it has in kB (1,024 bytes) is exported in bytes.

    Source: kernel Documentation/filesystems/proc.rst, section meminfo.
    """

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._families: dict[str, Family] = {}

    def collect(self) -> list[Item]:
        """Return one gauge per field."""
        losses = Losses()
        readings: dict[str, Reading] = {}
        for line in lines_of(self._host.read_proc("meminfo")):
            try:
                reading = self._reading(line)
            except CollectorError as error:
                losses.note(error)
            else:
                readings.setdefault(reading[0].name, reading)
        if not readings and not losses.count:
            raise CollectorError("/proc/meminfo is empty")
        return losses.settle(list(readings.values()))

    def _reading(self, line: str) -> Reading:
        field, _, rest = line.partition(":")
        amount, _, unit = rest.strip().partition(" ")
        if unit not in {"", "kB"}:
            raise CollectorError(f"/proc/meminfo: {field} is in '{unit[:20]}', not in kB")
        family = self._families.get(field)
        if family is None:
            family = self._families[field] = field_family(field, unit)
        value = whole(amount, f"/proc/meminfo: {field}")
        return single(family, value * KIB if unit else value)


SPEC = Spec("meminfo", MeminfoCollector, "memory by use")
