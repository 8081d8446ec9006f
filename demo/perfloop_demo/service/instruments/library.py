"""Perfloop's own instrumentation: `/metrics`, which Prometheus scrapes.

Its names are loaded when they are first used, so a service that OpenTelemetry measures imports none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import perfloop

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import redis
    from fastapi import FastAPI
    from sqlalchemy import Engine

    from perfloop_demo.service.instruments.ports import CacheMeter, ModelCall


class Library:
    """The instrumentation that the service has by default."""

    def watch_app(self, app: FastAPI) -> None:
        """Measure the requests of an application."""
        perfloop.instrument(app)

    def watch_engine(self, engine: Engine) -> None:
        """Measure the statements and the pool of a database."""
        perfloop.instrument_sqlalchemy(engine)

    def watch_redis(self, client: redis.Redis, cache: str) -> None:
        """Measure the commands of a client of Redis."""
        perfloop.instrument_redis(client, cache=cache)

    def measure_cache(self, cache: str) -> CacheMeter:
        """Return the measure of a cache in this process."""
        meter: CacheMeter = perfloop.CacheMetrics(cache)
        return meter

    def measure_vector_search(self) -> AbstractContextManager[object]:
        """Time a search for the nearest vectors."""
        return perfloop.db_operation("vector", "search")

    def measure_resize(self) -> AbstractContextManager[object]:
        """Time the resizing of a picture."""
        return perfloop.performance_monitor.measure_time("image_resize_seconds")

    def measure_call(self, model: str) -> ModelCall:
        """Begin to measure a call of the language model."""
        return perfloop.llm_server_call(model)

    def show_fault(self, fault: str, value: float) -> None:
        """Show the value that a fault is set to."""
        perfloop.performance_monitor.record_metric("fault_setting", value, tags={"fault": fault})


LIBRARY = Library()
