"""Work on many series in blocks of rows, here or elsewhere: what a detector says of a row depends on no other row.

A block is as many rows as fit a processor's cache. The blocks are the same wherever the work is done, so that the
results are too, to the last bit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

ROWS = 1024  # of a block: with 240 points 2 MiB


class Spread(Protocol):
    """Something that does the same work on several blocks."""

    def map(self, work: Callable[..., T], blocks: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return what `work` returns for each block's arguments, in the order of the blocks."""


class Here:
    """Does one block after the other."""

    def map(self, work: Callable[..., T], blocks: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return what `work` returns for each block's arguments, in the order of the blocks."""
        return [work(*block) for block in blocks]


class Threads:
    """Does several blocks at once: numpy holds no lock while it sorts and adds."""

    def __init__(self, count: int) -> None:
        """Use so many threads, which are started when they are needed."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="detect")

    def map(self, work: Callable[..., T], blocks: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return what `work` returns for each block's arguments, in the order of the blocks."""
        if len(blocks) < 2:  # noqa: PLR2004 - nothing to divide
            return [work(*block) for block in blocks]
        return list(self._pool.map(lambda block: work(*block), blocks))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def slices(count: int, rows: int | None = None) -> list[slice]:
    """Return so many rows in blocks."""
    rows = rows or ROWS
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]
