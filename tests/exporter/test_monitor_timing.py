"""`measure_time` for every kind of block and function, however it ends."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.monitor import MetricStats, PerformanceMonitor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

PAUSE = 0.05
SHORTEST_MS, LONGEST_MS = 49.0, 20_000.0


@pytest.fixture
def registry() -> MetricRegistry:
    """Return a registry of the test's own."""
    return MetricRegistry()


@pytest.fixture
def monitor(registry: MetricRegistry) -> PerformanceMonitor:
    """Return a monitor of the test's own."""
    return PerformanceMonitor(registry)


def assert_one_pause(stats: MetricStats) -> None:
    """Check that one block of the pause's length was timed."""
    assert stats.count == 1
    assert stats.unit == "ms"
    assert SHORTEST_MS <= stats.last <= LONGEST_MS


async def test_async_with(monitor: PerformanceMonitor, registry: MetricRegistry):
    """The form of the user's page: the block's time is exported in seconds."""
    async with monitor.measure_time("database_query", tags={"table": "users"}) as measurement:
        await asyncio.sleep(PAUSE)
    assert_one_pause(monitor.get_metric_stats("database_query"))
    assert measurement.seconds >= PAUSE
    assert 'app_database_query_seconds_count{table="users"} 1.0\n' in render(registry.families()).decode()


def test_plain_with(monitor: PerformanceMonitor):
    """It works without an event loop."""
    with monitor.measure_time("database_query"):
        time.sleep(PAUSE)
    assert_one_pause(monitor.get_metric_stats("database_query"))


def test_a_name_with_a_unit_keeps_it(monitor: PerformanceMonitor):
    """The statistics of `_seconds` are in seconds."""
    with monitor.measure_time("import_seconds"):
        time.sleep(PAUSE)
    stats = monitor.get_metric_stats("import_seconds")
    assert PAUSE <= stats.last < 20
    assert stats.unit == "s"


def test_a_decorated_function(monitor: PerformanceMonitor):
    """Each call is timed; name, docstring and result stay."""

    @monitor.measure_time("work")
    def work(number: int) -> int:
        """Work."""
        time.sleep(PAUSE)
        return number

    assert work(5) == 5
    assert (work.__name__, work.__doc__) == ("work", "Work.")
    assert_one_pause(monitor.get_metric_stats("work"))


async def test_a_decorated_coroutine_is_timed_to_its_end(monitor: PerformanceMonitor):
    """The time is that of awaiting it, not of creating it; many may run concurrently."""

    @monitor.measure_time("work")
    async def work() -> str:
        await asyncio.sleep(PAUSE)
        return "done"

    assert inspect.iscoroutinefunction(work)
    assert await asyncio.gather(*(work() for _ in range(20))) == ["done"] * 20
    stats = monitor.get_metric_stats("work")
    assert stats.count == 20
    assert stats.min >= SHORTEST_MS
    assert stats.max <= LONGEST_MS


async def test_a_partial_of_a_coroutine_function(monitor: PerformanceMonitor):
    """A `functools.partial` of one is timed like it."""

    async def work(pause: float) -> None:
        await asyncio.sleep(pause)

    await monitor.measure_time("work")(functools.partial(work, PAUSE))()
    assert_one_pause(monitor.get_metric_stats("work"))


def test_a_decorated_generator(monitor: PerformanceMonitor):
    """It is timed from the first step to the last; sent values, exceptions and the return value pass through."""

    @monitor.measure_time("work")
    def work() -> Generator[int, int, str]:
        got = yield 1
        time.sleep(PAUSE)
        try:
            yield got
        except KeyError:
            yield -1
        return "end"

    steps = work()
    assert next(steps) == 1
    assert steps.send(7) == 7
    assert steps.throw(KeyError("k")) == -1
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    assert stopped.value.value == "end"
    assert_one_pause(monitor.get_metric_stats("work"))


async def test_a_decorated_async_generator(monitor: PerformanceMonitor, registry: MetricRegistry):
    """It is timed until it is exhausted; sent values and exceptions pass through in both directions."""

    @monitor.measure_time("work")
    async def work() -> AsyncGenerator[int, int]:
        got = yield 1
        await asyncio.sleep(PAUSE)
        try:
            yield got
        except KeyError:
            yield -1

    steps = work()
    assert await anext(steps) == 1
    assert await steps.asend(7) == 7
    assert await steps.athrow(KeyError("k")) == -1
    with pytest.raises(StopAsyncIteration):
        await anext(steps)
    assert_one_pause(monitor.get_metric_stats("work"))
    assert "errors_total" not in render(registry.families()).decode()


async def test_an_async_generator_closed_early_is_closed_inside_too(
    monitor: PerformanceMonitor, registry: MetricRegistry
):
    """`aclose` runs the inner `finally`, the time is recorded, and it is not an error."""
    closed = []

    @monitor.measure_time("work")
    async def work() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(PAUSE)
            closed.append(True)

    steps = work()
    await anext(steps)
    await steps.aclose()
    assert closed == [True]
    assert_one_pause(monitor.get_metric_stats("work"))
    assert "_total" not in render(registry.families()).decode()


async def test_an_exception_passes_and_is_counted(monitor: PerformanceMonitor, registry: MetricRegistry):
    """The time of a failed block is recorded, and the error is counted."""
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised:  # noqa: PT012 - the block is what is measured
        async with monitor.measure_time("database_query"):
            await asyncio.sleep(PAUSE)
            raise error
    assert raised.value is error
    assert_one_pause(monitor.get_metric_stats("database_query"))
    text = render(registry.families()).decode()
    assert "app_database_query_errors_total 1.0\n" in text
    assert "cancelled" not in text


async def test_cancellation_is_counted_apart(monitor: PerformanceMonitor, registry: MetricRegistry):
    """A cancelled task stays cancelled; its time is recorded, and it is not an error."""

    @monitor.measure_time("database_query_ms")
    async def work() -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(PAUSE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_one_pause(monitor.get_metric_stats("database_query_ms"))
    text = render(registry.families()).decode()
    assert "app_database_query_cancelled_total 1.0\n" in text
    assert "errors" not in text


async def test_a_timeout_inside_the_block(monitor: PerformanceMonitor, registry: MetricRegistry):
    """`asyncio.timeout` around the block ends it by cancellation; the caller sees its TimeoutError."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PAUSE), monitor.measure_time("database_query"):
            await asyncio.sleep(60)
    stats = monitor.get_metric_stats("database_query")
    assert (stats.count, stats.unit) == (1, "ms")
    assert 0 < stats.last <= LONGEST_MS  # the timeout began before the block: no lower limit
    assert "app_database_query_cancelled_total 1.0\n" in render(registry.families()).decode()


def test_an_invalid_name_does_not_fail_the_block(monitor: PerformanceMonitor, registry: MetricRegistry):
    """The block runs to its end; the record is dropped and counted."""
    with monitor.measure_time(None):  # type: ignore[arg-type]  # that is the point
        pass
    assert 'perfloop_dropped_records_total{reason="TypeError"} 1.0\n' in render(registry.families()).decode()
