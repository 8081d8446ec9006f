"""`GET|POST /api/v1/agents`: agents are rows."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from perfloop_demo.service.service import ServiceDep
from perfloop_demo.service.tables import agents
from perfloop_demo.service.words import Name, Sentence

router = APIRouter()

_MAX_AGENTS = 500
_MAX_LISTED = 100
Limit = Annotated[int, Query(ge=1, le=_MAX_LISTED)]


class AgentRequest(BaseModel):
    """An agent to create."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    goal: Sentence


class Agent(AgentRequest):
    """An agent that exists."""

    id: int


@router.get("/api/v1/agents")
def list_agents(service: ServiceDep, limit: Limit = 20) -> dict[str, list[Any]]:
    """Return the newest agents."""
    statement = select(agents.c.id, agents.c.name, agents.c.goal).order_by(agents.c.id.desc()).limit(limit)
    return {"agents": [row._asdict() for row in service.database.read(statement)]}


@router.post("/api/v1/agents", status_code=201)
def create_agent(request: AgentRequest, service: ServiceDep) -> Agent:
    """Create an agent; beyond `_MAX_AGENTS` the oldest are deleted."""
    number = service.database.add(agents, request.model_dump(), _MAX_AGENTS)
    return Agent(id=number, name=request.name, goal=request.goal)
