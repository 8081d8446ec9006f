"""What one run of a collector leaves out: a file, line or value that cannot be read costs itself, not its collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Loss
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from perfloop_exporter.collectors.families import Item, Reading


class Losses:
    """Notes the errors of one run.

        losses = Losses()
        with losses:
            readings.append(read_one_part())
        return losses.settle(readings)

    A part that the machine does not have (NoDataError) is no loss.
    """

    __slots__ = ("_absent", "_first", "count")

    def __init__(self) -> None:
        self.count = 0
        self._first = ""
        self._absent = ""

    def note(self, error: CollectorError) -> None:
        """Leave out what the error is about; in loops that are run for every line this is cheaper than `with`."""
        if isinstance(error, NoDataError):
            self._absent = self._absent or str(error)
            return
        self._first = self._first or str(error)
        self.count += 1

    def __enter__(self) -> None:
        """Begin a part."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        """End a part; a CollectorError is noted, and the next part can begin."""
        if isinstance(error, CollectorError):
            self.note(error)
            return True
        return False

    def settle(self, readings: Sequence[Reading]) -> list[Item]:
        """Return the readings, and the loss where there is one.

        Raises:
            CollectorError: No sample is left, and something could not be read.
            NoDataError: No sample is left, and the machine does not have something that was looked for.
        """
        if not any(samples for _, samples in readings):
            if self.count:
                raise CollectorError(self._first)
            if self._absent:
                raise NoDataError(self._absent)
        return [*readings, Loss(self._first, self.count)] if self.count else list(readings)
