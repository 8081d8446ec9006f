"""Base of the blocks that are timed with `with` or `async with` alike."""

from __future__ import annotations

import time
from typing import Self


class TimedBlock:
    """Calls `ended(seconds, error)` when the block is left, however it is left."""

    __slots__ = ("_start",)

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.ended(time.perf_counter() - self._start, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.__exit__(kind, error, traceback)

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """Count the block."""
        raise NotImplementedError
