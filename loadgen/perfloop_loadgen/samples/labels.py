"""The rows of a run: one for each endpoint, with a hard budget, so that series cannot explode."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST_LABELS = 100
OVERFLOW = "(other)"


class Labels:
    """Names in the order they came; past the budget every new name is counted as `(other)`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._places: dict[str, int] = {}
        self.overflowed = 0
        self.on_new: list[Callable[[], None]] = []
        for name in names:
            self.index(name)

    def index(self, name: str) -> int:
        """Return the row of a name, a new one if the budget has room."""
        place = self._places.get(name)
        if place is not None:
            return place
        if len(self._places) >= MOST_LABELS:
            self.overflowed += 1
            name = OVERFLOW
        if name not in self._places:
            self._places[name] = len(self._places)
            for call in self.on_new:
                call()
        return self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
