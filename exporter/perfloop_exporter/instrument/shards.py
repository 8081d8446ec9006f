"""The metrics of one worker process as a JSON file, which outlives the process, and the archive of those that ended."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from perfloop_exporter.metrics.families import AnyFamily, Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from perfloop_exporter.metrics.registry import MetricRegistry
    from perfloop_exporter.metrics.series import Labels

log = logging.getLogger("perfloop")

# 2,000 series of 30 families take some 10 MB; what is larger is not ours.
SIZE_LIMIT = 256 * 1024 * 1024


class DamagedShardError(Exception):
    """A file does not have the format of `dump`."""


class Entry(NamedTuple):
    """One family of a file, with the labels and state of each of its series."""

    descriptor: Descriptor
    series: list[tuple[Labels, Any]]


class Archive(NamedTuple):
    """What ended workers have counted, and which workers those are whose files may still be there."""

    entries: list[Entry]
    sources: frozenset[str]


EMPTY = Archive([], frozenset())


def dump(families: Iterable[AnyFamily], *, additive_only: bool = False) -> str:
    """Return the families as JSON; `additive_only` leaves out gauges, which end with their process."""
    # JSON, not pickle: loading a file must never run code.
    return json.dumps(_plain(families, additive_only=additive_only), separators=(",", ":"))


def dump_archive(families: Iterable[AnyFamily], sources: Iterable[str]) -> str:
    """Return an archive as JSON."""
    document = {"sources": sorted(sources), "families": _plain(families, additive_only=True)}
    return json.dumps(document, separators=(",", ":"))


def _plain(families: Iterable[AnyFamily], *, additive_only: bool) -> list[Any]:
    return [
        [asdict(family.descriptor), [[series.labels, series.state()] for series in family.series()]]
        for family in families
        if not (additive_only and family.descriptor.kind == "gauge")
    ]


def read_text(path: Path) -> str:
    """Read a shard or the archive.

    Raises:
        DamagedShardError: It is too large, or not text.
        OSError: It cannot be read.
    """
    if path.stat().st_size > SIZE_LIMIT:
        raise DamagedShardError(f"larger than {SIZE_LIMIT} bytes")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DamagedShardError(str(error)) from error


def parse(text: str) -> list[Entry]:
    """Parse a dump, whole, before any of it is counted.

    Raises:
        DamagedShardError: The text is not a dump.
    """
    return _entries(_load(text))


def parse_archive(text: str) -> Archive:
    """Parse an archive.

    Raises:
        DamagedShardError: The text is not an archive.
    """
    document = _load(text)
    if not isinstance(document, dict) or not isinstance(document.get("sources"), list):
        raise DamagedShardError("not an archive")
    return Archive(_entries(document.get("families")), frozenset(map(str, document["sources"])))


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedShardError(f"not JSON: {error}") from error


def _entries(document: Any) -> list[Entry]:
    try:
        return [_entry(fields, series) for fields, series in document]
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DamagedShardError(f"not a worker's dump: {error!r}") from error


def _entry(fields: dict[str, Any], series: list[Any]) -> Entry:
    given = {**fields, "label_names": tuple(fields["label_names"]), "bounds": tuple(map(float, fields["bounds"]))}
    descriptor = Descriptor(**given)
    return Entry(descriptor, [(_labels(labels), _state(descriptor, state)) for labels, state in series])


def _labels(pairs: list[Any]) -> Labels:
    labels = tuple((name, value) for name, value in pairs)
    if not all(isinstance(text, str) for pair in labels for text in pair):
        raise ValueError("a label is not text")
    return labels


def _state(descriptor: Descriptor, state: list[Any]) -> list[Any]:
    if descriptor.kind == "histogram":
        counts, total, exemplars = state
        kept = [[int(bucket), _labels(labels), _number(value), _number(at)] for bucket, labels, value, at in exemplars]
        if len(counts) != len(descriptor.bounds) + 1:
            raise ValueError("a histogram has a count for each of its buckets")
        return [[_count(count) for count in counts], _number(total), kept]
    numbers = [_number(one) for one in state]
    if len(numbers) != (2 if descriptor.kind == "gauge" else 1) or (descriptor.kind == "counter" and numbers[0] < 0):
        raise ValueError(f"{numbers} is not the state of a {descriptor.kind}")
    return numbers


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _count(value: Any) -> int:
    number = _number(value)
    if number < 0 or not math.isfinite(number) or number != int(number):
        raise ValueError(f"{value!r} is not a count")
    return int(number)


def add(registry: MetricRegistry, entries: Iterable[Entry], *, additive_only: bool = False) -> None:
    """Add a file's families to a registry; one that conflicts with another worker's is left out, and logged once."""
    for descriptor, series in entries:
        if additive_only and descriptor.kind == "gauge":
            continue
        try:
            family = registry.restore(descriptor)
        except ValueError as error:
            _log_conflict(descriptor.name, str(error))
            continue
        for labels, state in series:
            family.child(labels).absorb(state)


@lru_cache(maxsize=100)
def _log_conflict(_name: str, why: str) -> None:
    log.warning("The workers' metrics do not fit together, one of them is left out: %s", why)


def absorb(registry: MetricRegistry, text: str) -> None:
    """Add a dump to a registry.

    Raises:
        DamagedShardError: The text is not a dump.
    """
    add(registry, parse(text))


def write_whole(path: Path, text: str) -> None:
    """Replace a file atomically: readers never see a part of it, even if this process is killed now."""
    beside = path.with_suffix(f".{os.getpid()}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
