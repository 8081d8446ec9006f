"""What the service asks of whatever measures it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import redis
    from fastapi import FastAPI
    from sqlalchemy import Engine


class Operation(Protocol):
    """One operation of a cache; `hit` says how a read ended."""

    hit: bool | None


class CacheMeter(Protocol):
    """The measure of one cache."""

    def operation(self, operation: str) -> AbstractContextManager[Operation]:
        """Time one operation."""


class ModelCall(Protocol):
    """The measure of one call of the language model."""

    def token(self) -> None:
        """Note that a token was written."""

    def finish(self, *, input_tokens: int, output_tokens: int) -> None:
        """Note that the answer is complete."""


class Instruments(Protocol):
    """An instrumentation of the whole service."""

    def watch_app(self, app: FastAPI) -> None:
        """Measure the requests of an application."""

    def watch_engine(self, engine: Engine) -> None:
        """Measure the statements and the pool of a database."""

    def watch_redis(self, client: redis.Redis, cache: str) -> None:
        """Measure the commands of a client of Redis."""

    def measure_cache(self, cache: str) -> CacheMeter:
        """Return the measure of a cache in this process."""

    def measure_vector_search(self) -> AbstractContextManager[object]:
        """Time a search for the nearest vectors."""

    def measure_resize(self) -> AbstractContextManager[object]:
        """Time the resizing of a picture."""

    def measure_call(self, model: str) -> ModelCall:
        """Begin to measure a call of the language model."""

    def show_fault(self, fault: str, value: float) -> None:
        """Show the value that a fault is set to."""
