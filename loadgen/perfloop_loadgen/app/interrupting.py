"""Ctrl-C and cancelled tasks in programs that use the Python API: a run that is interrupted ends with its results.

`asyncio.run` turns the first SIGINT into a cancellation of the main task, as Jupyter does for a cell that awaits; a
timeout or a task group cancels too. Each of them ends the run instead of the coroutine, which returns what was
measured. The second one gives the run no more time, and is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")
# How long the answers under way have to come: people who press Ctrl-C wait for them.
GRACE_SECONDS = 2.5
REASON = "interrupted"


async def until_interrupted(work: Coroutine[object, object, T], stop: Callable[[str, float | None], None]) -> T:
    """Return the result of `work`, which `stop` brings to its end early when the caller is interrupted.

    Args:
        work: what runs; it is a task of its own, which no cancellation reaches.
        stop: called with a reason and the seconds that answers still have.

    Raises:
        CancelledError: the caller was cancelled a second time; the work has ended all the same.
    """
    task = asyncio.ensure_future(work)
    with _taking_interrupts(stop):
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            _forget_cancellation()
            stop(REASON, GRACE_SECONDS)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop(REASON, 0.0)
            await asyncio.wait([task])
            raise


def _forget_cancellation() -> None:
    """Keep the cancellation from being counted: it has had its effect, and timeouts and groups count them."""
    current = asyncio.current_task()
    if current is not None:
        current.uncancel()


@contextlib.contextmanager
def _taking_interrupts(stop: Callable[[str, float | None], None]) -> Iterator[None]:
    """Stop on SIGINT where nobody else has a meaning for it: it would be raised in the middle of the event loop.

    That is a loop without `asyncio.run`, whose own handler cancels.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield
        return
    loop = asyncio.get_running_loop()
    graces = iter((GRACE_SECONDS,))

    def interrupt() -> None:
        stop(REASON, next(graces, 0.0))

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
