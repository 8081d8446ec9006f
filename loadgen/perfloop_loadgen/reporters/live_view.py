"""The run under way in a terminal: progress, rate against target, the last seconds and the whole run."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from perfloop_loadgen.outcomes import OK
from perfloop_loadgen.reporters.text import seconds
from perfloop_loadgen.samples.book import RECENT_WINDOWS, Book
from perfloop_loadgen.shares import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.summary.workers import WorkerFigures

_QUANTILES = (0.5, 0.9, 0.95, 0.99)


class LiveView:
    """A view that is redrawn by `show`; the code that sends requests does not depend on it."""

    def __init__(
        self,
        name: str,
        planned_seconds: float | None,
        console: Console | None = None,
        workers: Callable[[], Sequence[WorkerFigures]] = tuple,
    ) -> None:
        self._name = name
        self._workers = workers
        self._planned = planned_seconds
        self._live = Live(console=console or Console(stderr=True), auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        _log_to(sys.stderr)  # rich has replaced it: what goes there now appears above the view
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        _log_to(sys.stderr)

    def show(self, elapsed_seconds: float, book: Book) -> None:
        """Draw the run so far."""
        self._live.update(self.render(elapsed_seconds, book), refresh=True)

    def print(self, line: str) -> None:
        """Print a line that stays, above what is redrawn."""
        self._live.console.print(line, markup=False, highlight=False)

    def render(self, elapsed_seconds: float, book: Book) -> Group:
        """Return what is drawn."""
        parts: list[Text | ProgressBar | Table] = [self._headline(elapsed_seconds, book)]
        if self._planned:
            parts.append(ProgressBar(total=self._planned, completed=min(elapsed_seconds, self._planned), width=60))
        return Group(*parts, _times(book), _outcomes(book), _statuses(book))

    def _headline(self, elapsed: float, book: Book) -> Text:
        load = book.load
        point = book.timeline()[-1]
        rate = point.requests / point.span_seconds if point.span_seconds else 0.0
        wanted = f"{load.users} users" if load.target_rate is None else f"target {load.target_rate:.4g}/s"
        planned = f" of {self._planned:.0f} s" if self._planned else ""
        style = "red" if load.target_rate and rate < 0.99 * load.target_rate else ""
        head = Text.assemble((self._name, "bold"), f"  {elapsed:.0f} s{planned}  {load.phase}  {wanted}  ")
        head.append(f"{rate:.1f} requests/s", style=style)
        workers = self._workers()
        busiest = "busiest worker" if workers else "generator"
        head.append(f"  {busiest} {load.cpu_ratio:.0%} of a core")
        if workers:
            lost = [worker.number for worker in workers if worker.lost]
            head.append(f"  {len(workers)} workers")
            head.append(f", lost: {listed(lost)}" if lost else "", style="red")
        return head


def _log_to(stream: TextIO) -> None:
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(stream)


def _times(book: Book) -> Table:
    table = Table(
        "response time", *(f"p{quantile * 100:.4g}" for quantile in _QUANTILES), "requests", "failed requests"
    )
    table.add_row(f"last {RECENT_WINDOWS} s", *_row(book.lately()))
    table.add_row("whole run", *_row(book.total()))
    return table


def _row(tally: Tally) -> list[str]:
    times = [seconds(value) for value in tally.response.quantiles_seconds(_QUANTILES)]
    return [*times, str(tally.requests), str(tally.errors)]


def _outcomes(book: Book) -> Table:
    table = Table("failed requests", "last 10 s", "whole run")
    lately, total = book.lately().outcomes, book.total()
    for outcome in sorted(total.outcomes.keys() - {OK}):
        table.add_row(outcome, str(lately.get(outcome, 0)), str(total.outcomes[outcome]))
    table.add_row("late starts", "", str(total.late))
    table.add_row("dropped", "", str(total.dropped))
    return table


def _statuses(book: Book) -> Table:
    table = Table("status code", "last 10 s", "whole run")
    lately, total = book.lately().statuses_by_name(), book.total().statuses_by_name()
    for status, count in total.items():
        table.add_row(status, str(lately.get(status, 0)), str(count))
    return table
