"""`GET|PUT|DELETE /faults`: inject faults and end them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Request

from perfloop_demo.service.service import ServiceDep

router = APIRouter()


# Setting a fault may wait for a connection or a process: it runs in a thread pool that requests do not use.
@router.get("/faults")
async def get_faults(service: ServiceDep) -> dict[str, float]:
    """Return the faults that are on."""
    return service.faults.get_active()


@router.put("/faults")
async def put_faults(request: Request, service: ServiceDep) -> dict[str, float]:
    """Set the named faults; 0 or false ends one."""
    try:
        wanted: Any = json.loads(await request.body())
    except (ValueError, RecursionError):
        wanted = None
    return await asyncio.to_thread(service.faults.update, wanted)


@router.delete("/faults")
async def delete_faults(service: ServiceDep) -> dict[str, float]:
    """End every fault."""
    return await asyncio.to_thread(service.faults.heal)
