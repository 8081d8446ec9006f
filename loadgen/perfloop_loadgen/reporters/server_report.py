"""The service's own series in reports: lines of text, rows of tables, small plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.plots import Axes, Line, figure
from perfloop_base.quantities import quantity
from perfloop_loadgen.summary.verdict import DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfloop_loadgen.samples.book import Point
    from perfloop_loadgen.summary.document import Document
    from perfloop_loadgen.summary.server import Server, ServerSeries

HEADINGS = ("measured by the service", "client", "service", "highest")


def server_lines(server: Server) -> Iterator[str]:
    """Yield the section of the text report."""
    yield f"the service in Prometheus ({server.service or 'not found'}, {server.prometheus_url}):"
    for title, client, value, highest in server_rows(server):
        beside = f"client {client}, service " if client else ""
        yield f"  {title:<28} {beside}{value}{f', at most {highest}' if highest else ''}"
    if server.missing:
        yield f"  no data: {', '.join(server.missing)}"
    yield from (f"  {problem}" for problem in server.problems)


def server_rows(server: Server) -> Iterator[tuple[str, str, str, str]]:
    """Yield title, the client's figure, the service's figure, and its highest point, as people read them."""
    if server.server_requests is not None:
        gap = server.server_requests - server.client_requests
        counted = f"{server.server_requests}{f' ({gap:+d})' if gap else ''}"
        yield "requests counted", str(server.client_requests), counted, ""
    for series in server.series:
        for line in series.lines:
            title = f"{series.title} ({line.name})" if line.name else series.title
            client = "" if series.client is None else quantity(series.client, series.unit, DIGITS)
            yield (
                title,
                client,
                quantity(line.value, series.unit, DIGITS),
                quantity(line.highest, series.unit, DIGITS) if line.points else "",
            )


def server_plots(document: Document) -> list[str]:
    """Return a plot for each kind of series that has points, as SVG; every text in it is escaped.

    What the client measured of the same thing, second by second, is drawn with it.
    """
    return [
        figure(
            f"Service: {series.title}",
            [*_client_lines(series.name, document.timeline), *_server_lines(series)],
            Axes("seconds into the run", unit=series.unit),
        )
        for series in (document.server.series if document.server is not None else ())
        if any(line.points for line in series.lines)
    ]


def _server_lines(series: ServerSeries) -> list[Line]:
    return [Line(line.name or "service", line.points) for line in series.lines if line.points]


def _client_lines(name: str, timeline: Sequence[Point]) -> list[Line]:
    read = _CLIENT.get(name)
    if read is None:
        return []
    return [Line("client", [(point.elapsed_seconds, read(point)) for point in timeline if point.span_seconds])]


# By the name of a series: what a second of the client's timeline has of the same thing.
_CLIENT: dict[str, Callable[[Point], float | None]] = {
    "request_rate": lambda point: point.requests / point.span_seconds,
    "response_time_p95": lambda point: point.p95_seconds,
    "error_ratio": lambda point: point.errors / point.requests if point.requests else None,
}
