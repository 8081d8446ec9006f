"""The plots of a report: the series that lower the score first, then those nearest to their limit."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple, Self

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
    """One picture: its anchor and title, what it says in words, the severity of that, and the SVG."""

    anchor: str
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

    @classmethod
    def of(cls, batch: Batch, row: int, value: float, signal: Signal | None, finding: Finding | None) -> Self:
        """Return one series with what is known of it; `value` is its newest one."""
        service = service_of(batch.labels[row], signal.service if signal else None)
        limit = finding.limit if finding else signal.limit_of(service).warning if signal else None
        direction = finding.direction if finding else signal.direction if signal else "above"
        return cls(batch, row, service, signal, finding, value, limit, _nearness(value, limit, direction))

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
    found: dict[str, dict[str, Finding]] = {}
    for one in result.findings:
        found.setdefault(one.signal, {})[anchor_of(one.signal, one.labels)] = one
    candidates = [
        _Candidate.of(
            batch,
            row,
            value,
            table.get(name),
            found[name].get(anchor_of(name, batch.labels[row])) if name in found else None,
        )
        for name, batch in batches.items()
        for row, value in enumerate(current(batch.values).tolist())
    ]
    first = [candidate for candidate in candidates if candidate.finding is not None]
    first.sort(key=lambda candidate: _urgency(candidate.finding, result))
    others = _nearest(one for one in candidates if one.finding is None and math.isfinite(one.value))
    chosen = [*first, *others[: max(0, ENOUGH_PLOTS - len(first))]][:MOST_PLOTS]
    there = sum(one.finding is not None or math.isfinite(one.value) for one in candidates)
    return [_plot(one) for one in chosen], there - len(chosen)


def drawn_findings(result: Result, batches: Mapping[str, Batch]) -> frozenset[str]:
    """Return the anchors of the plots of findings that a report of this result has."""
    there = {
        anchor_of(name, labels)
        for name in {one.signal for one in result.findings} & batches.keys()
        for labels in batches[name].labels
    }
    drawn = [one for one in result.findings if anchor_of(one.signal, one.labels) in there]
    drawn.sort(key=lambda one: _urgency(one, result))
    return frozenset(anchor_of(one.signal, one.labels) for one in drawn[:MOST_PLOTS])


def anchor_of(signal: str, labels: Mapping[str, str]) -> str:
    """Return the anchor of the plot of one series."""
    name = repr((signal, sorted(labels.items()))).encode("utf-8", "surrogatepass")
    return f"plot-{hashlib.blake2b(name, digest_size=6).hexdigest()}"


def _nearness(value: float, limit: float | None, direction: str) -> float:
    if limit is None or not math.isfinite(value):
        return 0.0
    over, under = (value, limit) if direction == "above" else (limit, value)
    if under <= 0:
        return math.inf if over > under else 1.0
    return max(0.0, over / under)


def _urgency(finding: Finding | None, result: Result) -> tuple[float, float, float]:
    if finding is None:
        return (0.0, 0.0, 0.0)
    costs = (one.penalties.get(finding.signal, 0.0) for one in result.health if one.service == finding.service)
    return -finding.severity, -max(costs, default=0.0), finding.onset


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
    picture = Markup(draw(title, [Line(title, points)], axes, notes))  # noqa: S704 - draw() escapes every text
    return Plot(anchor_of(one.batch.signal, one.batch.labels[one.row]), title, words, mood, picture)
