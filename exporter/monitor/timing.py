"""`measure_time`: a sync and async context manager that is a decorator too."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class TimeMeasurement:
    """Calls `record(seconds, exception)` when the block or the decorated call ends, however it ends."""

    def __init__(self, record: Callable[[float, BaseException | None], None]) -> None:
        self._record = record
        self._start = 0.0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.seconds = time.perf_counter() - self._start
        self._record(self.seconds, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Decorate `function`: each call is measured on its own."""
        wrapper: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with TimeMeasurement(self._record):
                    return await function(*args, **kwargs)
        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with TimeMeasurement(self._record):
                    return function(*args, **kwargs)

        return wrapper  # type: ignore[no-any-return]
