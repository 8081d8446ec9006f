"""One self-contained HTML page: no script, no font, no address outside itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfloop_base.plots import Axes, Line, figure
from perfloop_base.quantities import quantity
from perfloop_loadgen.outcomes import MEANINGS
from perfloop_loadgen.reporters.text import gate_line, seconds
from perfloop_loadgen.samples.streams import FORMULAS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.samples.book import Point
    from perfloop_loadgen.summary.document import Document

_NINES = 6


def render_html(document: Document) -> bytes:
    """Return the whole page."""
    import jinja2  # imported by the one report that needs it
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("perfloop_loadgen.reporters"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html").render(
        document=document,
        summary=document.summary,
        meanings=MEANINGS,
        formulas=FORMULAS,
        plots=[Markup(drawn) for drawn in _plots(document)],  # noqa: S704 - figure() escapes every text it is given
        seconds=seconds,
        gate_line=gate_line,
    )
    return page.encode()


def _plots(document: Document) -> list[str]:
    points = document.timeline
    over_time = Axes("seconds into the run", "", write_y=seconds)
    figures = [
        figure("Rate", _rates(points), Axes("seconds into the run", "requests/s")),
        figure("Response time", _lines(points, _TIMES), over_time),
        figure("Distribution of the response time", [_distribution(document)], Axes("percentile", "", _nines, seconds)),
        figure("Errors", _lines(points, {"errors": _errors}), Axes("seconds into the run", "errors/s")),
        figure("Generator: lag", _lines(points, _LAGS), over_time),
        figure("Generator: CPU", _lines(points, {"busiest core": _cpu}), Axes("seconds into the run", "cores")),
    ]
    if document.trials:
        figures.append(_knee(document))
    return figures


def _lines(points: Sequence[Point], named: dict[str, Callable[[Point], float | None]]) -> list[Line]:
    return [Line(name, [(point.elapsed_seconds, read(point)) for point in points]) for name, read in named.items()]


def _rates(points: Sequence[Point]) -> list[Line]:
    named: dict[str, Callable[[Point], float | None]] = {"achieved": lambda point: point.requests / point.span_seconds}
    if any(point.load.target_rate is not None for point in points):
        named["target"] = lambda point: point.load.target_rate
    else:
        named["users"] = lambda point: float(point.load.users)
    return _lines([point for point in points if point.span_seconds], named)


def _errors(point: Point) -> float | None:
    return point.errors / point.span_seconds if point.span_seconds else None


def _cpu(point: Point) -> float | None:
    return point.load.cpu_ratio


def _distribution(document: Document) -> Line:
    """Percentiles on a scale of nines: 90%, 99%, 99.9% have equal distances, x = -log10(1 - share)."""
    total = sum(count for _, count in document.distribution)
    pairs: list[tuple[float, float | None]] = []
    seen = 0
    for upper, count in document.distribution:
        pairs.append((min(_NINES, -math.log10(max(1 - seen / total, 1e-9))), upper))
        seen += count
    return Line("response", pairs)


def _nines(value: float) -> str:
    return quantity(1 - 10**-value, "ratio", 6)


def _knee(document: Document) -> str:
    trials = sorted(document.trials, key=lambda trial: trial.rate)
    lines = [
        Line("goodput", [(trial.rate, trial.goodput_rate) for trial in trials]),
        Line("requested", [(trial.rate, trial.rate) for trial in trials]),
    ]
    return figure("Goodput against the requested rate", lines, Axes("requested rate, requests/s", "good answers/s"))


_TIMES: dict[str, Callable[[Point], float | None]] = {
    "p50": lambda point: point.p50_seconds,
    "p95": lambda point: point.p95_seconds,
    "p99": lambda point: point.p99_seconds,
}
_LAGS: dict[str, Callable[[Point], float | None]] = {
    "schedule lag p99": lambda point: point.lag_p99_seconds,
    "event loop p99": lambda point: point.load.loop_lag_seconds,
}
