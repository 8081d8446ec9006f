"""Configurations that were loaded: the programs that say so do it with the time of the last success."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.changes.record import OWNER, Change, Kind, seen
from perfloop_analyzer.changes.rows import rows_of, steps_of
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.series import Batch

QUERY = (
    "max by (__name__, job, service, instance) "
    '({__name__=~".+_config(uration)?_(last_reload_success(ful)?|reload_success)_timestamp_seconds"})'
)


def find_reloads(batch: Batch | None) -> Iterator[Change]:
    """Yield the configurations that were loaded by programs that had one before; the analyzer records its own."""
    for row in rows_of(batch):
        service = service_of(row.labels)
        for step in steps_of(row) if service != OWNER else ():
            if step.after > step.before > 0:
                at = min(max(step.after, step.old_time), step.new_time)
                yield seen(Kind.CONFIGURATION, service, "configuration loaded", at)
