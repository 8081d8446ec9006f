"""What one worker process has counted, as a file that outlives it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.families import AnyFamily, Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from perfloop_exporter.metrics.registry import MetricRegistry


def dump(families: Iterable[AnyFamily], *, additive_only: bool = False) -> str:
    """The families as JSON; `additive_only` leaves out gauges, which end with their process."""
    entries = [
        [asdict(family.descriptor), [[series.labels, series.state()] for series in family.series()]]
        for family in families
        if not (additive_only and family.descriptor.kind == "gauge")
    ]
    return json.dumps(entries, separators=(",", ":"))


class DamagedShardError(Exception):
    """A shard is not what `dump` writes."""


def absorb(registry: MetricRegistry, text: str) -> None:
    """Add a dump to what the registry has."""
    try:
        for fields, children in json.loads(text):
            family = registry.restore(_descriptor(fields))
            for labels, state in children:
                family.child(tuple((name, value) for name, value in labels)).absorb(state)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DamagedShardError(f"it is not a worker's dump: {error!r}") from error


def _descriptor(fields: dict[str, Any]) -> Descriptor:
    for name in ("label_names", "bounds"):
        fields[name] = tuple(fields[name])
    return Descriptor(**fields)


def write_whole(path: Path, text: str) -> None:
    """Replace the file in one step: a reader, or a worker that is killed now, never leaves half of it."""
    beside = path.with_suffix(f".{os.getpid()}.new")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
