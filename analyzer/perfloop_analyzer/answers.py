"""How the HTTP API answers: JSON and pages that no value can break, and the refusals that OpenAPI documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import orjson
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from perfloop_analyzer.config import MOST_EFFORT_HOURS
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_SHOWN = 160


class Problem(BaseModel):
    """A refusal: one sentence with the thing, its value and the rule, or a list of them for a wrong parameter."""

    detail: str | list[dict[str, Any]] = Field(description="what is wrong")


class NewChange(BaseModel):
    """A change to record: about one service, with a title, a version, or both."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(description="what was changed, as its `service` label names it")
    title: str | None = Field(default=None, description="what was done, in one line")
    version: str | None = Field(default=None, description="what is deployed now")
    kind: str | None = Field(default=None, description="a word; `deployment` where there is a version")
    at: float | str | None = Field(default=None, description="Unix seconds or RFC 3339; now where it is left out")


class NewProof(BaseModel):
    """The outcome of a proof: what was taken away of the recommendation's metric, as shares, and the verdict."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["proved", "refuted", "undecided", "invalid"]
    words: str = Field(default="", max_length=1000, description="why, in one sentence")
    gain: FiniteFloat | None = Field(default=None, le=1, description="the share of the metric that goes away")
    low: FiniteFloat | None = Field(default=None, le=1, description="lower bound of the gain")
    high: FiniteFloat | None = Field(default=None, le=1, description="upper bound of the gain")
    started: FiniteFloat | None = Field(default=None, ge=0, description="when its load began, in Unix seconds")
    ended: FiniteFloat | None = Field(default=None, ge=0, description="when its load ended, in Unix seconds")


class Decision(BaseModel):
    """What a person says of a step besides taking it."""

    model_config = ConfigDict(extra="forbid")

    effort_hours: FiniteFloat | None = Field(
        default=None, ge=0, le=MOST_EFFORT_HOURS, description="the hours of work that it takes, where it is accepted"
    )


class Json(JSONResponse):
    """JSON in which a number that is not finite is null, and a lone surrogate is written out."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return to_json(content)


class Page(HTMLResponse):
    """A page whose text may hold lone surrogates: they are shown as escapes."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return str(content).encode("utf-8", "backslashreplace")


def to_json(content: Any, option: int = 0) -> bytes:
    """Return any value as JSON; what JSON does not know is written as what is nearest."""
    try:
        return orjson.dumps(content, option=option | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError):
        # Lone surrogates, integers beyond 64 bits, nesting beyond orjson's.
        return json.dumps(_plain(content), ensure_ascii=True, default=str).encode("ascii")


def shown(text: str) -> str:
    """Return a text from a request as an error message shows it: visible and cut."""
    return visible(text[:LONGEST_SHOWN])


def _plain(value: Any) -> Any:
    """Return a value without numbers that are not finite, and with lone surrogates written out."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


_MEANINGS: Mapping[int, str] = {
    401: "No valid bearer token was given.",
    403: "Changes are not allowed: the analyzer has no token, or the request comes from another origin.",
    404: "There is none of that id, or no such step.",
    409: "The state of the recommendation does not allow the step.",
    415: "The request has a body that is not JSON.",
    421: "The Host header names another host: allow it with --web.allowed-hosts.",
    422: "A parameter has a value that is not allowed.",
    503: "There is no result yet, or the database does not answer.",
}


_PLAIN = frozenset({415, 421})
_OF_THE_GUARD = _PLAIN | {403}


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: _refusal(code) for code in codes}


def _refusal(code: int) -> dict[str, Any]:
    """Return how OpenAPI describes a refusal: the guard before the API answers with text, the API with JSON."""
    plain = {"text/plain": {"schema": {"type": "string"}}} if code in _OF_THE_GUARD else {}
    return {"description": _MEANINGS[code], "content": plain} | ({} if code in _PLAIN else {"model": Problem})


READ = _refusals(421, 503)
READ_STORED = _refusals(421, 422, 503)
READ_ONE = _refusals(404, 421, 422, 503)
RECORD = _refusals(401, 403, 415, 421, 422, 503)
CHANGE = _refusals(401, 403, 404, 409, 415, 421, 422, 503)
