"""A book that also enters everything in the book of a whole: a search or a repetition made of several runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_loadgen.samples.labels import Labels


class TeeBook(Book):
    """One run's book; the whole has its own elapsed time, in seconds, from `clock`."""

    def __init__(self, labels: Labels, whole: Book, clock: Callable[[], float]) -> None:
        super().__init__(labels)
        self._whole = whole
        self._clock = clock

    def add(self, windows: Sequence[Tally], elapsed_seconds: float, span_seconds: float, load: Load) -> None:
        """Enter a span in both books."""
        super().add(windows, elapsed_seconds, span_seconds, load)
        rows = [self._whole.labels.index(label) for label in self.labels]
        mapped = [Tally() for _ in self._whole.labels]
        for row, window in zip(rows, windows, strict=False):
            mapped[row] = window
        self._whole.add(mapped, self._clock(), span_seconds, load)
