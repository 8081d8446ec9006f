"""The plots of a report: the series that lower the score first, then those nearest to their limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from perfloop_analyzer.findings import AVAILABILITY, place_of
from perfloop_analyzer.series import current, service_of
from perfloop_base.plots import Axes, Line, Notes, draw
from perfloop_base.quantities import quantity
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.series import Batch

MOST_PLOTS = 24
ENOUGH_PLOTS = 12  # of series without a finding no more are drawn than fill up to this many


class Plot(NamedTuple):
    """One picture: its title, what it says in words, the severity of that, and the SVG."""

    title: str
    words: str
    mood: str
    picture: Markup


class _Candidate(NamedTuple):
    """One series that could be drawn. `nearness` is its value by its limit, 1 at the limit; 0 without one."""

    batch: Batch
    row: int
    service: str
    signal: Signal | None
    finding: Finding | None
    value: float
    limit: float | None
    nearness: float

    @property
    def title(self) -> str:
        """What is drawn, and of what."""
        if self.finding is not None:
            return f"{self.finding.title}, {self.service}{self.finding.place}"
        label = self.signal.label if self.signal else self.batch.signal.replace("_", " ")
        return f"{label}, {self.service}{place_of(self.batch.labels[self.row])}"

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.finding.unit if self.finding else self.signal.unit if self.signal else ""


def draw_plots(result: Result, batches: Mapping[str, Batch], catalog: Sequence[Signal]) -> tuple[list[Plot], int]:
    """Return the plots of a report, and how many series with a value of now were not drawn."""
    table = {signal.name: signal for signal in catalog}
    found = {(one.signal, _key(one.labels)): one for one in result.findings}
    costs = {(one.service, signal): cost for one in result.health for signal, cost in one.penalties.items()}
    candidates = [
        _candidate(batch, row, table.get(name), found.get((name, _key(batch.labels[row]))))
        for name, batch in batches.items()
        for row in range(len(batch))
    ]
    matter = [(_urgency(one.finding, costs), number) for number, one in enumerate(candidates) if one.finding]
    others = _nearest(one for one in candidates if one.finding is None and math.isfinite(one.value))
    first = [candidates[number] for _, number in sorted(matter)]
    chosen = [*first, *others[: max(0, ENOUGH_PLOTS - len(first))]][:MOST_PLOTS]
    there = sum(one.finding is not None or math.isfinite(one.value) for one in candidates)
    return [_plot(one) for one in chosen], there - len(chosen)


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _candidate(batch: Batch, row: int, signal: Signal | None, finding: Finding | None) -> _Candidate:
    service = service_of(batch.labels[row], signal.service if signal else None)
    value = float(current(batch.values[row : row + 1])[0])
    limit = finding.limit if finding else signal.limit_of(service).warning if signal else None
    direction = finding.direction if finding else signal.direction if signal else "above"
    return _Candidate(batch, row, service, signal, finding, value, limit, _nearness(value, limit, direction))


def _nearness(value: float, limit: float | None, direction: str) -> float:
    if limit is None or not math.isfinite(value):
        return 0.0
    over, under = (value, limit) if direction == "above" else (limit, value)
    if under <= 0:
        return math.inf if over > under else 1.0
    return max(0.0, over / under)


def _urgency(finding: Finding, costs: Mapping[tuple[str, str], float]) -> tuple[float, float, float]:
    return -finding.severity, -costs.get((finding.service, finding.signal), 0.0), finding.onset


def _nearest(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Return of each signal of a service the series nearest to its limit, and of all these the nearest first."""
    best: dict[tuple[str, str], _Candidate] = {}
    for one in candidates:
        if one.signal is not None and one.signal.component == AVAILABILITY:
            continue  # a flat line at 100%
        key = (one.batch.signal, one.service)
        if key not in best or (one.nearness, one.value) > (best[key].nearness, best[key].value):
            best[key] = one
    return sorted(best.values(), key=lambda one: (-one.nearness, one.batch.signal, one.service))


def _plot(one: _Candidate) -> Plot:
    title = visible(one.title)
    points = list(zip(one.batch.grid.times().tolist(), one.batch.values[one.row].tolist(), strict=True))
    notes = Notes(one.limit, [one.finding.onset] if one.finding else ())
    axes = Axes(moments=True, unit=one.unit, from_zero=False)
    words = f"now {quantity(one.value, one.unit)}" if math.isfinite(one.value) else "no data now"
    words += f", limit {quantity(one.limit, one.unit)}" if one.limit is not None else ""
    mood = one.finding.severity.word if one.finding else "soft"
    return Plot(title, words, mood, Markup(draw(title, [Line(title, points)], axes, notes)))  # noqa: S704 - draw() escapes every text
