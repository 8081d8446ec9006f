"""How a run under way is shown: a live view or plain lines, and Grafana's annotations."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from perfloop_base.redaction import redact_url
from perfloop_loadgen.app.repeat import RepeatTester
from perfloop_loadgen.config.secrets import shown as shown_text
from perfloop_loadgen.reporters.text import progress_line, trial_line

# rich and grafana-client cost more to import than a short run: they are imported when they are needed.
if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_loadgen.app.suite import Tester
    from perfloop_loadgen.reporters.annotations import Annotator
    from perfloop_loadgen.reporters.live_view import LiveView
    from perfloop_loadgen.summary.document import TrialRow

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
# The view is drawn on the loop that sends: at most so much of its time, else requests would start late for it.
_VIEW_SHARE = 0.003


class Display:
    """Follows one test, second by second."""

    def __init__(self, tester: Tester, view: LiveView | None, annotator: Annotator | None) -> None:
        self._tester = tester
        self._view = view
        self._annotator = annotator
        self._reported = time.monotonic()
        self._draw_from = 0.0
        self._writing: set[asyncio.Task[None]] = set()

    def second(self, elapsed_seconds: float) -> None:
        """Show the run so far."""
        book = self._tester.book
        if self._view is not None:
            self._draw(self._view, elapsed_seconds)
        elif time.monotonic() - self._reported >= PROGRESS_SECONDS:
            self._reported = time.monotonic()
            self.print(progress_line(self._tester.config.name, elapsed_seconds, book))
        self._mark(book.load.phase)

    def print(self, line: str) -> None:
        """Print a line that stays."""
        if self._view is not None:
            self._view.print(shown_text(line))
        else:
            log.info(line)

    def trial(self, trial: TrialRow) -> None:
        """Print a rate that a search has tried."""
        self.print(f"{self._tester.config.name}: {trial_line(trial)}")

    def _draw(self, view: LiveView, elapsed_seconds: float) -> None:
        began = time.monotonic()
        if began >= self._draw_from:
            view.show(elapsed_seconds, self._tester.book)
            done = time.monotonic()
            self._draw_from = done + (done - began) / _VIEW_SHARE - 1

    async def finish(self) -> list[str]:
        """Close the last phase, and return what could not be shown."""
        if self._annotator is None:
            return []
        self._mark("")
        # One silent Grafana has its time limit once, however many phases wait for it.
        await asyncio.gather(*self._writing)
        return [self._annotator.problem] if self._annotator.problem else []

    def _mark(self, phase: str) -> None:
        if self._annotator is not None:
            task = asyncio.get_running_loop().create_task(self._annotator.edge(phase, time.time()))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)


@contextmanager
def shown(tester: Tester) -> Iterator[Display]:
    """Show a test while the block runs."""
    with ExitStack() as stack:
        view = stack.enter_context(_live_view(tester)) if sys.stderr.isatty() else None
        annotator = _annotator(tester) if os.environ.keys() & {"GRAFANA_TOKEN", "GRAFANA_URL"} else None
        display = Display(tester, view, annotator)
        tester.listeners.append(display.second)
        tester.trial_listeners.append(display.trial)
        if isinstance(tester, RepeatTester):
            tester.line_listeners.append(display.print)
        display.print(f"{tester.config.name}: {tester.profile} against {redact_url(tester.config.base_url)}")
        yield display


def _live_view(tester: Tester) -> LiveView:
    from perfloop_loadgen.reporters.live_view import LiveView

    return LiveView(tester.config.name, tester.planned_seconds, workers=tester.live().workers)


def _annotator(tester: Tester) -> Annotator | None:
    from perfloop_loadgen.reporters.annotations import Annotator, Grafana

    grafana = Grafana.from_environment()
    return None if grafana is None else Annotator(grafana, tester.config.name, tester.run_id)
