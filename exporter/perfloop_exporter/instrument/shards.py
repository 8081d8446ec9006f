"""The metrics of one worker process as a JSON file, which outlives the process."""

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
    """Return the families as JSON; `additive_only` leaves out gauges, which end with their process."""
    entries = [
        [asdict(family.descriptor), [[series.labels, series.state()] for series in family.series()]]
        for family in families
        if not (additive_only and family.descriptor.kind == "gauge")
    ]
    # JSON, not pickle: loading a file must never run code.
    return json.dumps(entries, separators=(",", ":"))


class DamagedShardError(Exception):
    """A file does not have the format of `dump`."""


def absorb(registry: MetricRegistry, text: str) -> None:
    """Add a dump to a registry.

    Raises:
        DamagedShardError: The text is not a dump, or its families conflict with those of the registry.
    """
    try:
        for fields, children in json.loads(text):
            family = registry.restore(_descriptor(fields))
            for labels, state in children:
                family.child(tuple((name, value) for name, value in labels)).absorb(state)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DamagedShardError(f"not a worker's dump: {error!r}") from error


def _descriptor(fields: dict[str, Any]) -> Descriptor:
    for name in ("label_names", "bounds"):
        fields[name] = tuple(fields[name])
    return Descriptor(**fields)


def write_whole(path: Path, text: str) -> None:
    """Replace a file atomically: readers never see a part of it, even if this process is killed now."""
    beside = path.with_suffix(f".{os.getpid()}.new")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
