"""Virtual memory statistics: /proc/vmstat (proc_vmstat(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, single
from perfloop_exporter.collectors.host import lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FIELDS = "^(oom_kill|pgpg|pswp|pg.*fault).*"
FIELD = re.compile(r"[a-z][A-Za-z0-9_]*")


class VmstatCollector:
    """Exports the fields that match --collector.vmstat.fields."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._wanted = pattern("vmstat", "fields", options.text("fields"))
        self._families: dict[str, Family | None] = {}

    def collect(self) -> list[Item]:
        """Return one untyped family per field, since the file mixes counters and gauges."""
        losses = Losses()
        readings: dict[str, Reading] = {}
        for line in lines_of(self._host.read_proc("vmstat")):
            field, _, amount = line.partition(" ")
            try:
                family = self._families[field] if field in self._families else self._learn(field)
                if family is not None:
                    readings[field] = single(family, whole(amount, f"/proc/vmstat: {field}"))
            except CollectorError as error:
                losses.note(error)
        if not readings and not losses.count:
            raise CollectorError("/proc/vmstat has none of the fields asked for")
        return losses.settle(list(readings.values()))

    def _learn(self, field: str) -> Family | None:
        if not FIELD.fullmatch(field):
            raise CollectorError(f"/proc/vmstat: '{field[:40]}' is not a field's name")
        wanted = self._wanted is None or self._wanted.search(field)
        family = (
            Family(f"node_vmstat_{field}", "untyped", f"/proc/vmstat information field {field}.") if wanted else None
        )
        self._families[field] = family
        return family


SPEC = Spec(
    "vmstat",
    VmstatCollector,
    "paging, swapping and OOM kills",
    (Option("fields", FIELDS, "regular expression of fields to export"),),
)
