"""How far a replay is, on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from perfloop_analyzer.reporters.formatting import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from perfloop_analyzer.replay.journal import Journal


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[[Journal], None]]:
    """Yield what shows how far a journal is; nothing is shown where the console is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("reading the past", total=None)

        def watch(journal: Journal) -> None:
            at = journal.until or journal.start
            words = f"{clock(at)}: {len(journal.incidents)} incidents, {len(journal.findings)} findings"
            shown.update(task, description=words, total=journal.end - journal.start, completed=at - journal.start)

        yield watch
