"""One self-contained HTML page: no script, no font, no address outside itself."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.pages import head
from perfloop_base.plots import Axes, Line, Notes, figure
from perfloop_base.quantities import quantity
from perfloop_base.traces import URL_VARIABLE, trace_link
from perfloop_loadgen.config.model import GeneratorLimits
from perfloop_loadgen.outcomes import MEANINGS
from perfloop_loadgen.reporters.server_report import server_plots, server_rows
from perfloop_loadgen.reporters.streams import stream_sentences, stream_times
from perfloop_loadgen.reporters.text import SENT_AGAIN, connections_line, seconds, traced_requests
from perfloop_loadgen.reporters.worker_report import HEADINGS, worker_rows
from perfloop_loadgen.thresholds.expression import parse_expression, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.samples.book import Point
    from perfloop_loadgen.summary.document import Document

_NINES = 6
_STYLE = """td.number { text-align: right; white-space: nowrap; } th.number { text-align: right; }
th, td { padding-right: .6rem; }
td.text, th.text { white-space: normal; min-width: 9rem; }
figcaption i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .3em; }
"""


def render_html(document: Document) -> bytes:
    """Return the whole page."""
    from markupsafe import Markup

    from perfloop_base.templating import load_templates  # brings Jinja: imported by the one report that needs it

    environment = load_templates(Path(__file__).with_name("templates"))
    summary = document.summary
    received = float(summary.total.bytes_received)
    page = environment.get_template("report.html").render(
        head=Markup(head(f"{summary.name}: {summary.verdict}", _STYLE)),  # noqa: S704 - head() escapes the title
        document=document,
        summary=summary,
        details=[(endpoint.label, detail) for endpoint in summary.endpoints for detail in endpoint.details],
        checks=[(endpoint.label, check) for endpoint in summary.endpoints for check in endpoint.checks],
        connections=connections_line(summary.total),
        traces=[
            (one, trace_link(os.environ.get(URL_VARIABLE, ""), one.trace_id))
            for _, one in traced_requests(summary.total)
        ],
        sent_again=SENT_AGAIN,
        received=quantity(received, "bytes"),
        received_rate=quantity(received / (summary.duration_seconds or 1.0), "bytes_per_second"),
        meanings=MEANINGS,
        stream_times=stream_times,
        stream_sentences=stream_sentences,
        server_rows=[] if document.server is None else list(server_rows(document.server)),
        worker_headings=HEADINGS,
        worker_rows=list(worker_rows(document.workers)),
        server_plots=[Markup(drawn) for drawn in server_plots(document)],  # noqa: S704 - as below
        plots=[Markup(drawn) for drawn in _plots(document)],  # noqa: S704 - figure() escapes every text it is given
        seconds=seconds,
        config=json.dumps(document.config, indent=2),
    )
    return page.encode()


def _plots(document: Document) -> list[str]:
    points = document.timeline
    over_time = Axes("seconds into the run", unit="seconds")
    ratios = Axes("seconds into the run", unit="ratio")
    generator = _generator_limits(document)
    figures = [
        figure("Rate", _rates(points), Axes("seconds into the run")),
        figure("Response time", _lines(points, _TIMES), over_time, Notes(_limit(document, _is_response))),
        figure(
            "Distribution of the response time",
            [_distribution(document)],
            Axes("percentile", "", _nines, unit="seconds"),
            Notes(_limit(document, _is_response)),
        ),
        figure(
            "Failed requests",
            _lines(points, {"failed requests": _failed}),
            ratios,
            Notes(_limit(document, lambda metric: metric == "errors")),
        ),
        figure("Generator: lag", _lines(points, _LAGS), over_time, Notes(generator.event_loop_lag_seconds)),
        figure("Generator: CPU", _lines(points, {"busiest core": _cpu}), ratios, Notes(generator.cpu_ratio)),
    ]
    if document.trials:
        figures.append(_knee(document))
    return figures


def _lines(points: Sequence[Point], named: dict[str, Callable[[Point], float | None]]) -> list[Line]:
    return [Line(name, [(point.elapsed_seconds, read(point)) for point in points]) for name, read in named.items()]


def _rates(points: Sequence[Point]) -> list[Line]:
    named: dict[str, Callable[[Point], float | None]] = {
        "achieved, requests/s": lambda point: point.requests / point.span_seconds
    }
    if any(point.load.target_rate is not None for point in points):
        named["target, requests/s"] = lambda point: point.load.target_rate
    else:
        named["users"] = lambda point: float(point.load.users)
    return _lines([point for point in points if point.span_seconds], named)


def _failed(point: Point) -> float | None:
    return point.errors / point.requests if point.requests else None


def _is_response(metric: str) -> bool:
    time = time_of(metric)
    return time is not None and time[0] == "response"


def _limit(document: Document, is_about: Callable[[str], bool]) -> float | None:
    """Return the strictest limit that a gate over all endpoints sets to what a plot shows."""
    limits = []
    for gate in document.summary.gates:
        try:
            expression = parse_expression(gate.text)
        except ConfigError:
            continue  # of one endpoint, or of Prometheus
        if is_about(expression.metric) and expression.comparison.sign.startswith("<"):
            limits.append(expression.comparison.bound)
    return min(limits, default=None)


def _generator_limits(document: Document) -> GeneratorLimits:
    return GeneratorLimits.model_validate(document.config.get("generator_limits", {}))


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
    return figure("Goodput against the requested rate", lines, Axes("requested rate, requests/s", unit="per_second"))


_TIMES: dict[str, Callable[[Point], float | None]] = {
    "p50": lambda point: point.p50_seconds,
    "p95": lambda point: point.p95_seconds,
    "p99": lambda point: point.p99_seconds,
}
_LAGS: dict[str, Callable[[Point], float | None]] = {
    "schedule lag p99": lambda point: point.lag_p99_seconds,
    "event loop p99": lambda point: point.load.loop_lag_seconds,
}
