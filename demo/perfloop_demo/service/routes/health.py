"""`GET /health`: is the service able to work?"""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import literal, select

from perfloop_demo.service.service import ServiceDep

router = APIRouter()


@router.get("/health")
def get_health(service: ServiceDep) -> dict[str, str | int]:
    """Query the database and return which database and cache the service uses."""
    service.database.read(select(literal(1)))
    return {
        "status": "ok",
        "database": service.database.system,
        "cache": service.cache_name,
        "documents": len(service.vectors),
    }
