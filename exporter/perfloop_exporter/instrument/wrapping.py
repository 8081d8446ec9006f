"""Putting a measurement around a client's method, be it plain, a coroutine function or a mixture of both."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_exporter.instrument.failures import note_failure

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "_perfloop_measured"


class Call(Protocol):
    """One call under way."""

    def finished(self, answer: Any) -> None:
        """It gave this answer."""

    def failed(self, error: BaseException) -> None:
        """It raised this."""


def measure_method(owner: Any, name: str, begin: Callable[..., Call]) -> None:
    """Replace `owner.name` by one that calls `begin(*args, **kwargs)` first; doing it twice does it once.

    Answers and exceptions of the method pass unchanged, whatever happens in the measuring.
    """
    original = getattr(owner, name)
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def measured(*args: Any, **kwargs: Any) -> Any:
        call = _quietly(begin, *args, **kwargs)
        if call is None:
            return original(*args, **kwargs)
        try:
            answer = original(*args, **kwargs)
        except BaseException as error:
            _quietly(call.failed, error)
            raise
        # Not "awaitable": redis' async pipelines can be awaited and are used as they are.
        if inspect.iscoroutine(answer):
            return _measure_coroutine(call, answer)
        _quietly(call.finished, answer)
        return answer

    if inspect.iscoroutinefunction(original) and hasattr(inspect, "markcoroutinefunction"):
        # Callers may ask what kind of function it is (Python 3.12 and later).
        measured = inspect.markcoroutinefunction(measured)
    setattr(measured, _MARK, True)
    setattr(owner, name, measured)


async def _measure_coroutine(call: Call, coroutine: Any) -> Any:
    try:
        answer = await coroutine
    except BaseException as error:
        _quietly(call.failed, error)
        raise
    _quietly(call.finished, answer)
    return answer


def _quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - measuring must not fail the measured call
        note_failure(error)
        return None
