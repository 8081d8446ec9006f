"""`POST /api/v1/search`: the documents nearest to a query."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from perfloop_demo.service.service import ServiceDep
from perfloop_demo.service.tables import documents
from perfloop_demo.service.words import Question

router = APIRouter()

_MAX_RESULTS = 50


class SearchRequest(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    query: Question
    limit: int = Field(5, ge=1, le=_MAX_RESULTS)


class SearchResult(BaseModel):
    """A document that was found."""

    id: int
    title: str
    content: str
    score: float


@router.post("/api/v1/search")
def search(request: SearchRequest, service: ServiceDep) -> dict[str, list[SearchResult]]:
    """Search the vectors, then read the documents' rows."""
    neighbours = service.search(request.query, request.limit)
    numbers = [neighbour.document_id for neighbour in neighbours]
    statement = select(documents.c.id, documents.c.title, documents.c.content).where(documents.c.id.in_(numbers))
    rows = {row.id: row for row in service.database.read(statement)}
    # A row may have been deleted since its vector was found.
    found = [(rows[number], score) for number, score in neighbours if number in rows]
    return {
        "results": [
            SearchResult(id=row.id, title=row.title, content=row.content, score=round(score, 4)) for row, score in found
        ]
    }
