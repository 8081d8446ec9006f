"""How both demo programs explain a request that breaks a rule: status 422 and sentences under `detail`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

_MAX_SHOWN = 80


def add_error_handlers(app: FastAPI) -> None:
    """Answer every broken rule in the same form."""
    app.add_exception_handler(ConfigError, _answer_usage)
    app.add_exception_handler(RequestValidationError, _answer_validation)


async def _answer_usage(request: Request, error: Exception) -> JSONResponse:
    del request
    return JSONResponse({"detail": str(error)}, 422)


async def _answer_validation(request: Request, error: Exception) -> JSONResponse:
    del request
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": " ".join(map(explain, problems))}, 422)


def explain(problem: Mapping[str, Any]) -> str:
    """Return one sentence with the thing, the value and the rule."""
    # Places begin with where in the request the value stood: body, query, path.
    place = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    if problem["type"] == "missing":
        return f"{place} is missing."
    if problem["type"] == "extra_forbidden":
        return f"{place} is no known field."
    value = repr(problem.get("input"))
    shown = value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"
    rule = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{place} has the value {shown}: {rule}."
