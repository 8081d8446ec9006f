"""Signals while several tests run: the one under way ends, and nothing further begins."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE_SECONDS = 2.5


class Stopping:
    """Takes SIGINT and SIGTERM while it is entered; `reason` says which one came."""

    def __init__(self) -> None:
        self.reason = ""
        self._stop: Callable[[str, float | None], None] | None = None
        self._asked = asyncio.Event()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    @contextmanager
    def by(self, stop: Callable[[str, float | None], None]) -> Iterator[None]:
        """Stop what runs in the block by this; at once, where a signal has come already."""
        self._stop = stop
        if self.reason:
            stop(self.reason, 0.0)
        try:
            yield
        finally:
            self._stop = None

    async def unless_stopped(self, work: Coroutine[object, object, None]) -> None:
        """Do work that can be left unfinished: a signal cancels it."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
        if self.reason:
            with suppress(asyncio.CancelledError):
                await task
            return
        await task

    def _on_signal(self, number: signal.Signals) -> None:
        grace = 0.0 if self.reason else _GRACE_SECONDS
        self.reason = f"stopped by {signal.Signals(number).name}"
        self._asked.set()
        if self._stop is not None:
            self._stop(self.reason, grace)
