"""`POST /api/v1/process/text`: analyse a text and store it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from perfloop_demo.service.embedding import split_words
from perfloop_demo.service.language import find_keywords, summarize
from perfloop_demo.service.service import ServiceDep, digest
from perfloop_demo.service.words import Content

router = APIRouter()


class TextRequest(BaseModel):
    """A text to process."""

    model_config = ConfigDict(extra="forbid")

    content: Content


class Analysis(BaseModel):
    """What a text is about."""

    words: int
    keywords: list[str]
    summary: str


class TextResponse(Analysis):
    """The analysis, and the document's id for searches."""

    id: int
    cached: bool


@router.post("/api/v1/process/text")
def process_text(request: TextRequest, service: ServiceDep) -> TextResponse:
    """Return the analysis of a text, from the cache if it is there, and store the text as a document."""
    key = f"text:{digest(request.content.encode())}"
    known = service.cache.get(key)
    if known is None:
        analysis = _analyse(request.content)
        service.cache.set(key, analysis.model_dump_json().encode())
    else:
        analysis = Analysis.model_validate_json(known)
    number = service.store(request.content)
    return TextResponse(id=number, cached=known is not None, **analysis.model_dump())


def _analyse(text: str) -> Analysis:
    return Analysis(words=len(split_words(text)), keywords=find_keywords(text), summary=summarize(text))
