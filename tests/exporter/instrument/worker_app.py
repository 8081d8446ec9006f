"""The service that several worker processes serve in test_workers."""

import asyncio
import os
import signal

from fastapi import FastAPI

from exporter.instrument import instrument
from exporter.monitor import performance_monitor

app = FastAPI()
instrument(app)


@app.get("/pid")
async def pid() -> int:
    """Which worker answers; slow enough for another one to take the next request."""
    performance_monitor.record_metric("work_ms", 1000.0, {"pid": os.getpid()}, {"kind": "test"})
    performance_monitor.record_metric("last_seen", float(os.getpid()))
    await asyncio.sleep(0.02)
    return os.getpid()


@app.get("/die")
async def die() -> None:
    """End as the kernel's out-of-memory killer ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)
