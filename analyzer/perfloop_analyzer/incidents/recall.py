"""Open episodes and incidents, from the analyzer's own published series.

A single analysis beside the running program, and one whose database was lost, take up what is known this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.incidents.continuity import GRADES, Episode, Memory, Standing, series_hash

if TYPE_CHECKING:
    from perfloop_analyzer.series import Batch

# Both in one query: those of findings have a signal, those of incidents have none.
RECALLED = (
    "max by (incident, service, signal, series) (perfloop_finding_start_timestamp_seconds)"
    " or max by (incident, service) (perfloop_incident_start_timestamp_seconds)"
)


def recall(batch: Batch) -> Memory:
    """Return the memory that the newest values of RECALLED make; `batch` has its series over the window."""
    times = batch.grid.times()
    episodes: dict[str, Episode] = {}
    started: dict[str, float] = {}
    seen: dict[str, float] = {}
    members: dict[str, set[str]] = {}
    for labels, values in zip(batch.labels, batch.values, strict=True):
        known = np.flatnonzero(np.isfinite(values))
        incident, service, signal = (labels.get(name, "") for name in ("incident", "service", "signal"))
        if not len(known) or not incident:
            continue
        began, last = float(values[known[-1]]), float(times[known[-1]])
        seen[incident] = max(seen.get(incident, last), last)
        if not signal:
            started[incident] = min(started.get(incident, began), began)
            continue
        series = series_hash(service, signal, labels.get("series", ""))
        members.setdefault(incident, set()).add(series)
        # How bad it was is not published: it goes on as whatever it is now.
        episodes |= {f"{series}/{grade}": Episode(began, seen=last) for grade in GRADES}
    incidents = {name: Standing(name, started[name], seen[name], frozenset(members.get(name, ()))) for name in started}
    return Memory(max(seen.values(), default=None), episodes, incidents)
