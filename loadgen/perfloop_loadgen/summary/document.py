"""A run as a document: the source of every report, and what `compare` reads back."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perfloop_base.errors import ConfigError
from perfloop_loadgen.capacity import CapacityInterval
from perfloop_loadgen.samples.book import Point
from perfloop_loadgen.samples.histogram import SECOND, Histogram, bucket_bounds
from perfloop_loadgen.summary.numbers import Summary
from perfloop_loadgen.summary.repeats import Repeats
from perfloop_loadgen.summary.server import Server
from perfloop_loadgen.summary.share import ShareOf
from perfloop_loadgen.summary.verdict import Generator
from perfloop_loadgen.summary.workers import WorkerFigures

# To be raised when a reader of the previous form would misread the report.
FORMAT = 1


def _installed_version() -> str:
    """Return the version of this program, as it is installed; empty where it is not."""
    try:
        return version("perfloop")
    except PackageNotFoundError:
        return ""


# Read once, at the start: at the end of a run there may be no file descriptor left.
GENERATOR_VERSION = _installed_version()


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that generated the load: its figures do not compare with another machine's."""

    name: str = field(default_factory=platform.node)
    system: str = field(default_factory=platform.platform)
    python: str = field(default_factory=platform.python_version)
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The results of `calibrate` on this machine, against a server that does nothing."""

    measured_at: str
    requests_per_cpu_second: float
    start_lag_p50_seconds: float
    start_lag_p99_seconds: float
    response_p50_seconds: float
    response_p99_seconds: float


class State(StrEnum):
    """How a run came to its end."""

    ENDED = "ended"
    STOPPED = "stopped"  # by a signal, with everything measured judged and reported
    KILLED = "killed"  # its process ended at once


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One rate that a breakpoint search tried."""

    rate: float
    stage: str
    passed: bool
    reason: str
    achieved_rate: float = 0.0
    p95_seconds: float | None = None
    goodput_rate: float = 0.0
    # How long it was offered; 0 in reports of versions that did not say it.
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that is known about one run."""

    run_id: str
    profile: str
    base_url: str
    started_at: str
    summary: Summary
    generator: Generator
    timeline: list[Point]
    # (upper bound in seconds, how many response times at or below it and above the one before)
    distribution: list[tuple[float, int]]
    config: dict[str, Any]
    host: Host = field(default_factory=Host)
    # Of this program; empty in reports of versions that did not say it.
    generator_version: str = ""
    calibration: Calibration | None = None
    # Of a breakpoint search: every rate tried, the highest that was confirmed to keep the thresholds, and the highest
    # whose good answers kept up with the requested rate.
    trials: list[TrialRow] = field(default_factory=list)
    confirmed_rate: float | None = None
    knee_rate: float | None = None
    # Of a breakpoint search: the highest rate that keeps the thresholds for long, with its interval.
    capacity: CapacityInterval | None = None
    # What the generated prompts followed from; None where none were generated.
    seed: int | None = None
    # What people know the run by: when it began, and the test.
    run_name: str = ""
    # The service's own series in Prometheus, of the run's window; None where no Prometheus was asked.
    server: Server | None = None
    # Of a test that was run several times: each run, and the interval of the p95 between them.
    repeats: Repeats | None = None
    # Each of several workers; none of a single process.
    workers: list[WorkerFigures] = field(default_factory=list)
    # Of a process that sent one share of the load alone: what `merge` makes one run of.
    share: ShareOf | None = None
    # How it came to its end; one that was killed has only what was measured until then.
    state: State = State.ENDED
    # What people call the run's circumstances, as `version: 1.4`.
    labels: dict[str, str] = field(default_factory=dict)
    # Equal for runs whose load was configured alike: see `config_hash`.
    config_hash: str = ""
    # The commit of the working directory, with `-dirty` where files differ from it; empty outside a repository.
    revision: str = ""
    # By endpoint and kind of time: (lowest nanosecond of the bucket, how many values are in it), ascending.
    histograms: dict[str, dict[str, list[tuple[int, int]]]] = field(default_factory=dict)
    format: int = FORMAT


_LARGEST_NUMBER = 1e15
_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
_ADAPTER: TypeAdapter[Document] = TypeAdapter(Document)


def iso_time(unix_seconds: float) -> str:
    """Return a moment in ISO 8601, in UTC."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds")


def distribution_of(histogram: Histogram) -> list[tuple[float, int]]:
    """Return (upper bound in seconds, count) of every bucket with values, ascending."""
    return [(bucket_bounds(bucket)[1] / SECOND, histogram.counts[bucket]) for bucket in sorted(histogram.counts)]


def to_json(document: Document) -> bytes:
    """Return the document as JSON; what does not print is an escape, since people look at reports in terminals."""
    text = _ADAPTER.dump_json(document, indent=2).decode()
    return _BEYOND_ASCII.sub(_escape, text).encode()


def to_compact_json(document: Document) -> bytes:
    """Return the document as JSON without spaces, for programs."""
    return _ADAPTER.dump_json(document)


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def from_json(path: Path) -> Document:
    """Read a document back.

    Raises:
        ConfigError: the file cannot be read, or is not a report of this program.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    return parse_document(content, str(path))


def parse_document(content: bytes, what: str) -> Document:
    """Return the document of its JSON form.

    Args:
        content: the JSON.
        what: what errors call it.

    Raises:
        ConfigError: it is not a report of this program.
    """
    try:
        return _checked(_ADAPTER.validate_json(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError([f"{what}: is not a report of this program: {where}: {first['msg']}"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{what}: is not a report of this program: {error}"]) from error


def _checked(document: Document) -> Document:
    """Return a document whose numbers can be computed with: in JSON they may be of any size.

    Raises:
        ValueError: one of them is no measurement.
    """
    for point in document.timeline:
        numbers = (point.elapsed_seconds, point.span_seconds, point.requests, point.errors)
        times = (point.p50_seconds, point.p95_seconds, point.p99_seconds)
        if not all(_is_measured(value) for value in (*numbers, *(value for value in times if value is not None))):
            raise ValueError("timeline: a number is negative or larger than any measurement")
    total = document.summary.total
    if not all(_is_measured(value) for value in (total.total_requests, total.failed_requests)):
        raise ValueError("summary: a number is negative or larger than any measurement")
    return document


def _is_measured(value: float) -> bool:
    return 0 <= value <= _LARGEST_NUMBER


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of the JSON report."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_ADAPTER.json_schema(mode="serialization")}
