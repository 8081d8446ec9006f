"""The service that several worker processes serve in test_workers."""

from __future__ import annotations

import asyncio
import os
import signal

import prometheus_client
from fastapi import FastAPI

from perfloop_exporter.instrument import instrument
from perfloop_exporter.monitor import performance_monitor

FOREIGN = prometheus_client.Counter("foreign_jobs", "Jobs.")
ALIVE = prometheus_client.Gauge("foreign_alive", "Workers.", multiprocess_mode="livesum")

app = FastAPI()
instrument(app)


@app.get("/pid")
async def pid() -> int:
    """Which worker answers; slow enough for another one to take the next request."""
    performance_monitor.record_metric("work_ms", 1000.0, {"pid": os.getpid()}, {"kind": "test"})
    performance_monitor.record_metric("last_seen", float(os.getpid()))
    FOREIGN.inc()
    ALIVE.set(1)
    await asyncio.sleep(0.02)
    return os.getpid()


@app.get("/die")
async def die() -> None:
    """End as the kernel's out-of-memory killer ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)
