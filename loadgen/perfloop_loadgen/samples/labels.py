"""The rows of a run: one for each endpoint, up to a limit, so that the number of series is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_LABELS = 100
OVERFLOW = "(other)"


class Labels:
    """Names in the order they came; beyond the limit every new name is counted as `(other)`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._rows: dict[str, int] = {}
        self.on_new: list[Callable[[], None]] = []
        for name in names:
            self.index(name)

    def index(self, name: str) -> int:
        """Return the row of a name, a new one below the limit."""
        row = self._rows.get(name)
        if row is not None:
            return row
        if len(self._rows) >= MAX_LABELS:
            name = OVERFLOW
        if name not in self._rows:
            self._rows[name] = len(self._rows)
            for call in self.on_new:
                call()
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
