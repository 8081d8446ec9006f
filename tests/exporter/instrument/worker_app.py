"""The service of test_workers."""

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
    """Return the worker's process id; slow enough for another worker to serve the next request."""
    performance_monitor.record_metric("work_ms", 1000.0, {"pid": os.getpid()}, {"kind": "test"})
    performance_monitor.record_metric("last_seen", float(os.getpid()))
    FOREIGN.inc()
    ALIVE.set(1)
    await asyncio.sleep(0.02)
    return os.getpid()


@app.get("/die")
async def die() -> None:
    """End like a process that the kernel's OOM killer kills."""
    os.kill(os.getpid(), signal.SIGKILL)
