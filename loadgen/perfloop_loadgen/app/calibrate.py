"""The command `calibrate`: what this machine can generate, and how far its clockwork is off."""

from __future__ import annotations

import multiprocessing
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop_loadgen.app.nothing_server import serve_nothing
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.config import EndpointConfig, LoadTestConfig
from perfloop_loadgen.config.load import ConstantRateConfig
from perfloop_loadgen.summary.document import Calibration

if TYPE_CHECKING:
    from collections.abc import Iterator

CEILING_USERS = 32
TIMING_RATE = 1000.0


async def calibrate(seconds: float) -> Calibration:
    """Measure the ceiling with a closed load and the timing with an open one."""
    with _nothing_server() as url:
        base = LoadTestConfig(
            name="calibration", base_url=url, duration_seconds=seconds, endpoints=[EndpointConfig(path="/")]
        )
        ceiling = LoadTester(base.model_copy(update={"concurrent_users": CEILING_USERS}))
        most = await ceiling.run_load_test()
        rate = ConstantRateConfig(shape="constant_rate", rate=TIMING_RATE)
        timing = LoadTester(base.model_copy(update={"load": rate}))
        await timing.run_load_test()
    cpu_seconds = ceiling.generator().cpu_ratio * most.duration_seconds
    tally = timing.book.total()
    lag = tally.lag.quantiles_seconds([0.5, 0.99])
    response = tally.response.quantiles_seconds([0.5, 0.99])
    return Calibration(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        requests_per_cpu_second=most.total_requests / cpu_seconds,
        start_lag_p50_seconds=lag[0] or 0.0,
        start_lag_p99_seconds=lag[1] or 0.0,
        response_p50_seconds=response[0] or 0.0,
        response_p99_seconds=response[1] or 0.0,
    )


@contextmanager
def _nothing_server() -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_nothing, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        here.close()
        process.join(2)
        if process.is_alive():
            process.kill()
