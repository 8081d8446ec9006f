"""A user's own values as the analysis reads them: series of signals on a grid, and what is left out, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.aliases import BACKGROUND, Alias, is_counter, measured, normal, own_signal, resolve_alias
from perfloop_analyzer.detectors.trend import DAY_SECONDS
from perfloop_analyzer.samples import Samples, as_record, frame_columns, holds_measures, is_frame, read_samples
from perfloop_analyzer.series import Batch, Floats, Grid

if TYPE_CHECKING:
    from perfloop_analyzer.catalog import Signal

SPAN = 60  # samples that one value is made of at most
MOST = 4000  # newest samples that are judged point by point; older ones count in trends
LEAST_PAST = 16  # samples without which nothing is unusual
CELL = 5  # samples of one value of a past
MOST_CELLS = 1008
DAY_PARTS = (600.0, 900.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0)  # seconds; whole parts of a day
LEAST_CELLS = 8
HOUR_SECONDS = 3500.0
WHOLE = 100.0
NO_NUMBER = "it contains no number"
GROUPS = ("metrics", "system_metrics", "application_metrics")
LABELS = {"service": "system"}
# The two directions of a sum, which its limit is about, and what a recommendation calls them.
DIRECTIONS = {
    "network_io_bytes_per_second": {
        "received": "network_receive_bytes_per_second",
        "sent": "network_transmit_bytes_per_second",
    },
    "disk_io_bytes_per_second": {"read": "disk_read_bytes_per_second", "written": "disk_write_bytes_per_second"},
}
_STAMPS = frozenset({"timestamp", "time", "ts", "t", "date", "datetime"})
_NAMES = ("name", "metric", "metric_name")


@dataclass(slots=True)
class Given:
    """What was given.

    Attributes:
        batches: The series by signal: at each sample the quantile or mean of those up to it.
        pasts: The same over the whole time, in fewer points, for what changes slowly.
        parts: The directions of sums, as the catalogue's queries for parts return them.
        own: The signals that no catalogue has.
        names: Every name that was given.
        context: Names that are known and have no verdict of their own, and why.
        ignored: Names that are not understood, and why.
    """

    batches: dict[str, Batch] = field(default_factory=dict)
    pasts: dict[str, Batch] = field(default_factory=dict)
    parts: dict[str, Batch] = field(default_factory=dict)
    own: dict[str, Signal] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    context: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)

    @property
    def no_data(self) -> str:
        """How many names have no finite value, for people."""
        empty = sum(reason == NO_NUMBER for reason in self.ignored.values())
        return f"no data for {empty} of {len(self.names)} names"


def name_values(data: object) -> list[tuple[str, object]] | None:
    """Return every name with its value; None where the data has no names."""
    if is_frame(data):
        return list(_named(data))
    if not isinstance(data, Mapping):
        return None
    found: list[tuple[str, object]] = []
    for name, value in data.items():
        found += _named(value) if name in GROUPS else _named({name: value})
    return found


def _named(group: object) -> Iterator[tuple[str, object]]:
    """Yield the names of a group with their values; of records over time each name's readings."""
    if is_frame(group):
        yield from frame_columns(group).items()
        return
    record = as_record(group)
    if record is not None:
        for name, value in record.items():
            yield from _parts_of(str(name), value)
    elif isinstance(group, list | tuple):
        yield from _over_time([one for one in map(as_record, group) if one is not None])


def _parts_of(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield a value under its name; of a record that holds several measures each one: `memory: {percent: 95}`."""
    record = as_record(value)
    if record is not None and holds_measures(record):
        for inner, one in record.items():
            yield from _parts_of(f"{name}_{inner}", one)
    else:
        yield name, value


def _over_time(readings: list[Mapping[str, Any]]) -> Iterator[tuple[str, object]]:
    """Yield each name's readings of a list of records: one name a column, or `{"name": …, "value": …}`."""
    found: dict[str, list[object]] = {}
    for one in readings:
        names = {normal(str(name)): name for name in one}
        stamp = next((one[names[name]] for name in names if name in _STAMPS), None)
        title = next((str(one[names[name]]) for name in _NAMES if name in names), None)
        if title is not None and "value" in names:
            found.setdefault(title, []).append({"value": one[names["value"]], "timestamp": stamp})
            continue
        for name, value in one.items():
            if normal(str(name)) not in _STAMPS:
                for inner, part in _parts_of(str(name), value):
                    found.setdefault(inner, []).append({"value": part, "timestamp": stamp})
    yield from found.items()


def take(named: list[tuple[str, object]], catalog: Mapping[str, Signal]) -> Given:
    """Return what the analysis can use of named values."""
    given = Given()
    for name, value in named:
        given.names.add(name)
        alias = resolve_alias(name, catalog)
        samples = read_samples(value, alias.quantile if alias else 0.95)
        reason = _take_one(name, alias, samples, catalog, given)
        if reason:
            given.ignored[name] = reason
    _add_sums(given)
    return given


def _take_one(name: str, alias: Alias | None, samples: Samples, catalog: Mapping[str, Signal], given: Given) -> str:
    """Add one name's samples; return why they are ignored, or nothing."""
    if not len(samples.values):
        return NO_NUMBER
    if alias is not None and catalog[alias.signal].unit == "ratio" and alias.factor == 1.0:
        if samples.values.max() > WHOLE:
            alias = None  # a memory of 8e9 is no share
        elif samples.values.max() > 1.0:
            alias = Alias(alias.signal, 1.0 / WHOLE, alias.quantile)
    if alias is None and (rate := is_counter(name)):
        return _take_counter(name, rate, samples, given)
    if alias is None:
        return _take_own(name, samples, catalog, given)
    if alias.signal in given.batches:
        return f"{alias.signal} was already given under another name"
    _add(alias, samples, given)
    return ""


def _take_counter(name: str, signal: str, samples: Samples, given: Given) -> str:
    """Add the rate of a counter since boot; one reading of it says nothing, and the rate may be given beside it."""
    steps = np.diff(samples.times) if samples.times is not None else np.empty(0)
    moves = np.diff(samples.values)
    if signal in given.batches or not len(steps) or not (steps > 0).all():
        given.context[name] = "it counts since the start: its rate is judged, of two readings with their times"
        return ""
    assert samples.times is not None  # noqa: S101 # there are steps between them
    # After a restart a counter begins again: what it has counted since then is its move.
    moves = np.where(moves < 0, samples.values[1:], moves)
    _add(Alias(signal, 1.0, None), Samples(moves / steps, samples.times[1:]), given)
    return ""


def _take_own(name: str, samples: Samples, catalog: Mapping[str, Signal], given: Given) -> str:
    """Add a series that is judged by its own past."""
    found = measured(name)
    if found.stem in BACKGROUND and (len(samples.values) < LEAST_PAST or found.quantity in {"time", "moment"}):
        given.context[name] = BACKGROUND[found.stem]
        return ""
    if len(samples.values) < LEAST_PAST:
        return (
            f"no signal of that name is known, and {len(samples.values)} of the {LEAST_PAST} values are there "
            "that it takes to judge it by its own past"
        )
    factor = found.factor if samples.factor is None else samples.factor
    signal = own_signal(name, float(np.median(samples.values)) * factor)
    if signal.name in catalog:  # its values cannot be what the catalogue means
        signal = signal.model_copy(update={"name": f"own_{signal.name}"})
    if signal.name in given.own:
        return "it was already given in another spelling"
    given.own[signal.name] = signal
    _add(Alias(signal.name, factor, None), samples, given)
    return ""


def _add(alias: Alias, samples: Samples, given: Given) -> None:
    factor = alias.factor if samples.factor is None else samples.factor
    values, times = samples.values * factor, samples.times
    given.batches[alias.signal] = to_batch(alias, values[-MOST:], None if times is None else times[-MOST:])
    if len(values) >= LEAST_CELLS:
        given.pasts[alias.signal] = to_past(alias, values, times)


def to_batch(alias: Alias, values: Floats, times: Floats | None) -> Batch:
    """Return one series of the signal: at each sample the quantile or mean of the samples up to it, SPAN at most."""
    steps = np.diff(times) if times is not None and len(times) > 1 else np.ones(1)
    step = float(np.median(steps)) or 1.0
    start = float(times[-1] - step * (len(values) - 1)) if times is not None else 0.0
    first = [_aggregate(values[:end], alias.quantile) for end in range(1, min(SPAN, len(values) + 1))]
    rest = np.lib.stride_tricks.sliding_window_view(values, SPAN) if len(values) >= SPAN else np.empty((0, SPAN))
    row = np.concatenate([first, _aggregate_all(rest, alias.quantile)])
    return Batch(alias.signal, Grid(start, step, len(row)), (LABELS,), row[None, :])


def to_past(alias: Alias, values: Floats, times: Floats | None) -> Batch:
    """Return one series over its whole time, each value the quantile or mean of the samples of a cell.

    Cells are whole parts of a day where the samples cover one, else CELL samples each. Without times nothing is known
    of a day: all samples count as an hour at most.
    """
    at = np.arange(len(values)) * min(1.0, HOUR_SECONDS / len(values)) if times is None else times
    span = float(at[-1] - at[0])
    usual = float(np.median(np.diff(at))) or 1.0
    if times is not None and span >= DAY_SECONDS:
        step = next((part for part in DAY_PARTS if part >= usual and span / part <= MOST_CELLS), DAY_PARTS[-1])
    else:
        cells = min(MOST_CELLS, len(values) // CELL if len(values) >= CELL * LEAST_CELLS else len(values))
        step = max(span, usual) / (cells - 1) if len(values) == cells else (span + usual) / cells
    # The newest cell ends with the newest sample.
    back = np.floor((at[-1] - at) / step + 1e-9).astype(np.int64)
    row = np.full(int(back.max()) + 1, np.nan)
    for cell in np.unique(back):
        row[len(row) - 1 - cell] = _aggregate(values[back == cell], alias.quantile)
    start = float(at[-1] - step * (len(row) - 1))
    return Batch(alias.signal, Grid(start, step, len(row)), (LABELS,), row[None, :])


def _aggregate(part: Floats, quantile: float | None) -> float:
    return float(part.mean()) if quantile is None else float(np.quantile(part, quantile))


def _aggregate_all(parts: Floats, quantile: float | None) -> Floats:
    return np.asarray(parts.mean(axis=1) if quantile is None else np.quantile(parts, quantile, axis=1), np.float64)


def _add_sums(given: Given) -> None:
    """Add the sums of two directions, which have the limits, where they were not given, and the directions as parts."""
    for whole, directions in DIRECTIONS.items():
        there = {word: given.batches[name] for word, name in directions.items() if name in given.batches}
        if not there:
            continue
        grids = {batch.grid for batch in there.values()}
        if whole not in given.batches and len(grids) == 1:
            total = np.sum([batch.values for batch in there.values()], axis=0)
            given.batches[whole] = Batch(whole, grids.pop(), (LABELS,), total)
        newest = np.vstack([batch.values[:, -1:] for batch in there.values()])
        labels = tuple({**LABELS, "direction": word} for word in there)
        given.parts[whole] = Batch(whole, Grid(0.0, 1.0, 1), labels, newest)
