"""Timing of blocks and functions: `with`, `async with`, and a decorator for every kind of function."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Self, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Record = Callable[[float, BaseException | None], None]


class TimedBlock:
    """Base of the context managers that time a block; they call `ended` however the block is left."""

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
        """Record the block's duration, and the exception that it raised."""
        raise NotImplementedError


class TimeMeasurement(TimedBlock):
    """Calls `record(seconds, exception)` when the block or the decorated call ends, however it ends."""

    __slots__ = ("_record", "seconds")

    def __init__(self, record: Record) -> None:
        self._record = record
        self.seconds = 0.0

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """Record the duration, which stays readable in `seconds`."""
        self.seconds = seconds
        self._record(seconds, error)

    def __call__(self, function: F) -> F:
        """Decorate `function`: each call is timed on its own, until its result is exhausted or awaited."""
        wrap = next((wrap for matches, wrap in _WRAPPERS if matches(function)), _wrap_function)
        wrapped: Any = functools.wraps(function)(wrap(function, self._record))
        return wrapped  # type: ignore[no-any-return]  # functools.wraps keeps the caller's signature


def _wrap_function(function: Callable[..., Any], record: Record) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        with TimeMeasurement(record):
            return function(*args, **kwargs)

    return measured


def _wrap_coroutine(function: Callable[..., Any], record: Record) -> Callable[..., Any]:
    async def measured(*args: Any, **kwargs: Any) -> Any:
        with TimeMeasurement(record):
            return await function(*args, **kwargs)

    return measured


def _wrap_generator(function: Callable[..., Any], record: Record) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        with TimeMeasurement(record):
            return (yield from function(*args, **kwargs))

    return measured


def _wrap_async_generator(function: Callable[..., Any], record: Record) -> Callable[..., Any]:
    async def measured(*args: Any, **kwargs: Any) -> Any:
        with TimeMeasurement(record):
            inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
            try:
                # What `yield from` does for generators: values, exceptions and close() pass through in both directions.
                value = await anext(inner)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - the inner generator decides
                        value = await inner.athrow(error)
                    else:
                        value = await inner.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

    return measured


_WRAPPERS: tuple[tuple[Callable[[Any], bool], Callable[..., Callable[..., Any]]], ...] = (
    (inspect.iscoroutinefunction, _wrap_coroutine),
    (inspect.isasyncgenfunction, _wrap_async_generator),
    (inspect.isgeneratorfunction, _wrap_generator),
)
