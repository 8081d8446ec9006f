"""Loads for judging autoscaling: when each request comes and how long it is served; from files, or made here."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.load import TraceConfig
from perfloop_loadgen.scenario.traces import read_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# One sequence on a server with continuous batching: its prompt is read fast, its answer is written token by token.
PROMPT_TOKENS_PER_SECOND = 10_000.0
ANSWER_TOKENS_PER_SECOND = 40.0
LINE_LIMIT_LLM = 1.0  # seconds until a request is served: the first-token objective of prometheus/slos.yml
LINE_LIMIT_WEB = 0.5  # the latency objective of prometheus/slos.yml
WEB_SERVICE_SECONDS = 2.0  # of a heavy page, so that a day of them is simulated request by request in seconds
WEB_RATE = 3.0  # mean requests per second that a table of rates is scaled to
MEAN_REPLICAS = 6.0  # how many replicas the mean load keeps busy: a replica gets as many slots as that takes
MOST_HOURS = 24.0
WARM_SHARE, MOST_WARM = 0.15, 3600.0
FINE_STEP = 10.0  # seconds
LEAST_REQUESTS, LEAST_WARM, LEAST_SECONDS = 400, 100, 240.0
# Headings of tables without tokens, in lower case.
TIMES = ("timestamp", "time", "ts", "datetime", "date", "arrival", "arrival_time")
VALUES = ("value", "rate", "requests", "count", "rps")


@dataclass(frozen=True, slots=True)
class Load:
    """What a fleet has to serve.

    Attributes:
        arrivals: When each request comes, in seconds from 0, ascending.
        work: How many seconds each is served.
        slots: How many requests a replica serves at once.
        limit: The seconds in line that 95 % of the requests of every minute must not exceed.
        shows_line: Whether an autoscaler is shown how many requests wait, as vLLM does and most web services do not.
        warm: Seconds from the beginning that are not judged.
    """

    name: str
    arrivals: Floats
    work: Floats
    slots: int
    limit: float
    shows_line: bool
    warm: float

    @property
    def end(self) -> float:
        """When it is over, in seconds."""
        return float(self.arrivals[-1])


def _make(name: str, arrivals: Floats, work: Floats, *, limit: float, shows_line: bool) -> Load:
    if len(arrivals) < LEAST_REQUESTS:
        raise ConfigError(f"{name}: has {len(arrivals)} requests; {LEAST_REQUESTS} are the fewest to judge by")
    arrivals = arrivals - arrivals[0]
    if arrivals[-1] < LEAST_SECONDS:
        raise ConfigError(f"{name}: its requests come within {arrivals[-1]:.3g} s; {LEAST_SECONDS:g} s are the least")
    busy = float(work.sum() / max(arrivals[-1], 1.0))
    slots = max(1, round(busy / MEAN_REPLICAS))
    warm = max(min(MOST_WARM, WARM_SHARE * float(arrivals[-1])), float(arrivals[LEAST_WARM]))
    return Load(name, arrivals, work, slots, limit, shows_line, warm)


def _llm(name: str, seconds: Floats, inputs: Floats, outputs: Floats) -> Load:
    work = inputs / PROMPT_TOKENS_PER_SECOND + np.maximum(outputs, 1) / ANSWER_TOKENS_PER_SECOND
    return _make(name, seconds, work, limit=LINE_LIMIT_LLM, shows_line=True)


def _web(name: str, rates: Floats, step: float, rng: np.random.Generator) -> Load:
    """Return requests that come at these rates, as independent people ask: a Poisson process.

    Between two rates the load goes from one to the other in a line: people do not come in steps of a table.
    """
    fine = np.arange(0.0, len(rates) * step, min(step, FINE_STEP))
    rates, step = np.interp(fine, (np.arange(len(rates)) + 0.5) * step, rates), min(step, FINE_STEP)
    rates = rates * WEB_RATE / max(float(np.mean(rates)), 1e-12)
    counts = rng.poisson(rates * step)
    starts = np.repeat(np.arange(len(rates)) * step, counts)
    arrivals = np.sort(starts + rng.uniform(0, step, len(starts)))
    work = rng.exponential(WEB_SERVICE_SECONDS, len(arrivals))
    return _make(name, arrivals, work, limit=LINE_LIMIT_WEB, shows_line=False)


def read_load(path: Path, hours: float, unit: str | None, rng: np.random.Generator) -> Load:
    """Return the first hours of a file: a trace with tokens, one of moments alone, or a table of moments and rates.

    Raises:
        ConfigError: The file is none of these, or too short.
    """
    name = path.name.removesuffix(".gz").rpartition(".")[0]
    try:
        config = TraceConfig(shape="trace", file=path, end_seconds=3600 * hours, timestamp_unit=unit)  # type: ignore[arg-type]
        trace = read_trace(config)
    except ConfigError as reason:
        return _read_table(name, path, hours, reason, rng)
    inputs, outputs = np.array(trace.inputs, dtype=float), np.array(trace.outputs, dtype=float)
    return _llm(name, np.array(trace.seconds), inputs, outputs)


def _read_table(name: str, path: Path, hours: float, reason: ConfigError, rng: np.random.Generator) -> Load:
    """Return the load of a CSV file with moments alone, each a request, or with moments and values, each a rate."""
    packed = path.suffix == ".gz"
    try:
        text = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    rows = [row for row in csv.reader(text.splitlines()) if row]
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    at, value = (next((header.index(one) for one in names if one in header), None) for names in (TIMES, VALUES))
    if at is None:
        raise reason
    moments = _column(path, rows, at, _moment)
    moments -= moments[0]
    kept = (moments >= 0) & (moments < 3600 * hours)
    if value is None:
        work = rng.exponential(WEB_SERVICE_SECONDS, int(kept.sum()))
        return _make(name, np.sort(moments[kept]), work, limit=LINE_LIMIT_WEB, shows_line=False)
    values = _column(path, rows, value, float)[kept]
    steps = np.diff(moments[kept])
    if not len(steps) or not np.median(steps) > 0:
        raise ConfigError(f"{path}: its moments do not go on: rates need two at least, one after the other")
    return _web(name, np.nan_to_num(np.maximum(values, 0.0)), float(np.median(steps)), rng)


def _column(path: Path, rows: list[list[str]], index: int, read: Callable[[str], float]) -> Floats:
    """Return a column of a table below its header."""
    values = np.empty(len(rows) - 1)
    for number, row in enumerate(rows[1:]):
        try:
            values[number] = read(row[index])
        except (ValueError, IndexError) as error:
            raise ConfigError(f"{path}: row {number + 2}: {error}") from error
    return values


def _moment(text: str) -> float:
    """Return a moment in seconds: a number, or a date and time (UTC unless it says otherwise)."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def make_web_day(rng: np.random.Generator) -> Load:
    """Return a day of web traffic: a day's rhythm, slow drifts around it, and some surges of minutes."""
    step, points = 10.0, 8640
    clock = np.arange(points) / points
    rhythm = 1.0 + 0.7 * np.sin(2 * np.pi * (clock - 0.3)) + 0.2 * np.sin(4 * np.pi * clock)
    drift = np.zeros(points)
    shocks = rng.standard_normal(points)
    for at in range(1, points):
        drift[at] = 0.995 * drift[at - 1] + 0.012 * shocks[at]
    rates = np.maximum(rhythm, 0.1) * np.exp(drift)
    for begin in rng.integers(0, points - 200, 10):
        length = int(rng.integers(30, 200))
        shape = np.minimum(np.arange(length) / 12.0, 1.0) * np.exp(-np.arange(length) / length)
        rates[begin : begin + length] *= 1.0 + rng.uniform(0.4, 1.2) * shape
    return _web("web day (made)", rates, step, rng)


def make_llm(rng: np.random.Generator, hours: float = 4.0) -> Load:
    """Return requests to a language model: levels that last about half an hour, drifts around them, chats' lengths."""
    step = 5.0
    points = round(hours * 3600 / step)
    levels, at = np.empty(points), 0
    while at < points:
        length = int(rng.exponential(360)) + 24
        levels[at : at + length] = rng.normal(0.0, 0.35)
        at += length
    levels = np.convolve(np.pad(levels, (12, 11), mode="edge"), np.ones(24) / 24, mode="valid")
    drift, shocks = np.zeros(points), rng.standard_normal(points)
    for at in range(1, points):
        drift[at] = 0.983 * drift[at - 1] + 0.028 * shocks[at]
    counts = rng.poisson(5.0 * np.exp(levels[:points] + drift) * step)
    starts = np.repeat(np.arange(points) * step, counts)
    seconds = np.sort(starts + rng.uniform(0, step, len(starts)))
    inputs, outputs = rng.lognormal(6.6, 1.0, len(seconds)), rng.lognormal(4.9, 0.9, len(seconds))
    return _llm("language model (made)", seconds, inputs, outputs)


def make_batches(rng: np.random.Generator, hours: float = 1.0) -> Load:
    """Return requests with long prompts that come together every three seconds, at a rate that drifts."""
    step = 3.0
    moments = np.arange(0.0, hours * 3600, step)
    rates = 6.0 * np.exp(0.15 * np.sin(moments / 400.0 + rng.uniform(0, 6)) + 0.1 * rng.standard_normal(len(moments)))
    seconds = np.repeat(moments, rng.poisson(rates * step))
    inputs, outputs = rng.lognormal(8.6, 0.9, len(seconds)), rng.lognormal(4.8, 0.8, len(seconds))
    return _llm("batches (made)", seconds, inputs, outputs)


def make_bursts(rng: np.random.Generator, hours: float = 24.0) -> Load:
    """Return few requests over a day, whose rate wanders and has a day's rhythm, in bursts (gamma pauses)."""
    seconds, at, level = [], 0.0, 0.0
    while at < hours * 3600:
        seconds.append(at)
        rate = 0.3 * np.exp(level) * (1 + 0.6 * np.sin(2 * np.pi * at / 86_400))
        at += float(rng.gamma(0.5)) / 0.5 / rate
        level = 0.995 * level + 0.07 * float(rng.standard_normal())
    inputs, outputs = rng.lognormal(5.5, 1.0, len(seconds)), rng.lognormal(5.0, 1.0, len(seconds))
    return _llm("bursts (made)", np.array(seconds), inputs, outputs)


MADE = (make_web_day, make_llm, make_batches, make_bursts)
