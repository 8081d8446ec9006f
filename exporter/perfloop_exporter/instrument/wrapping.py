"""Wrapping of a client's method with a measurement: of a function, a coroutine function, or a mixture of both."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Protocol

from perfloop_exporter.instrument.failures import note_failure

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "_perfloop_measured"


class Call(Protocol):
    """One measured call."""

    def finished(self, answer: Any) -> None:
        """Record that the call returned `answer`."""

    def failed(self, error: BaseException) -> None:
        """Record that the call raised `error`."""


def measure_method(owner: Any, name: str, begin: Callable[..., Call | None]) -> None:
    """Replace the method `owner.name` by one that is measured; a second time has no effect.

    `begin(*args, **kwargs)` is called before the method and returns the Call that records its end, None where this one
    is not measured. Results and
    exceptions of the method are passed on unchanged, also when measuring fails.
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
        # Not inspect.isawaitable: redis's async pipelines are awaitable, but are used without being awaited.
        if inspect.iscoroutine(answer):
            return _measure_coroutine(call, answer)
        _quietly(call.finished, answer)
        return answer

    if inspect.iscoroutinefunction(original) and hasattr(inspect, "markcoroutinefunction"):
        # For callers that check with iscoroutinefunction (Python 3.12 and later).
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
