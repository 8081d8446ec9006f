"""What is asked, in which order, with which data."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_loadgen.scenario.journey import Journey


@dataclass(slots=True)
class Plan:
    """A cycle in which every journey has its share, and the rows of data that passes are given in turn."""

    cycle: Sequence[Journey]
    rows: Iterator[Mapping[str, Any]] = field(default_factory=lambda: repeat({}))

    def next_values(self) -> dict[str, Any]:
        """Return the data of the next pass, its own to write to."""
        return dict(next(self.rows))
