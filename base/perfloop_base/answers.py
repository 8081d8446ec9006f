"""The response to a request that breaks a rule: status 422 and sentences under `detail`.

Needs FastAPI, of the extras demo and analyzer.
"""

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
    """Give every broken rule a response of the same form."""
    app.add_exception_handler(ConfigError, _respond_to_config_error)
    app.add_exception_handler(RequestValidationError, _respond_to_validation_error)


async def _respond_to_config_error(request: Request, error: Exception) -> JSONResponse:
    del request
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    return JSONResponse({"detail": " ".join(problems)}, 422)


async def _respond_to_validation_error(request: Request, error: Exception) -> JSONResponse:
    del request
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": " ".join(map(explain, problems))}, 422)


def explain(problem: Mapping[str, Any]) -> str:
    """Return one sentence with the thing, the value and the rule."""
    # A location begins with the part of the request that held the value: body, query, path.
    place = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    if problem["type"] == "missing":
        return f"{place} is missing."
    if problem["type"] == "extra_forbidden":
        return f"{place} is an unknown field."
    value = repr(problem.get("input"))
    shown = value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"
    rule = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{place} has the value {shown}: {rule}."
