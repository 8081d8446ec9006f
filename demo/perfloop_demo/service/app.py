"""The service's composition root: the one module that knows all the others."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from perfloop import instrument
from perfloop_base import answers, serving
from perfloop_demo.service import page
from perfloop_demo.service.body_limit import BodyLimit
from perfloop_demo.service.faults.errors import InjectedError
from perfloop_demo.service.routes import agents, chat, faults, health, image, search, text
from perfloop_demo.service.service import Service, strike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perfloop_base.serving import Address
    from perfloop_demo.service.settings import Settings

# Above the largest picture that the image route takes.
_MAX_BODY_BYTES = 16 * 1024 * 1024

log = logging.getLogger("demo.service")


def build_app(settings: Settings) -> FastAPI:
    """Return the service; its parts start and stop with it."""

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        """Let go of everything when the application ends."""
        del app
        yield
        await asyncio.to_thread(service.close)

    service = Service(settings)
    app = FastAPI(title="Perfloop demo service", lifespan=live)
    app.state.service = service
    for work in (health, text, image, search, agents, chat):
        app.include_router(work.router, dependencies=[Depends(strike)] if work is not health else [])
    app.include_router(faults.router)
    app.include_router(page.router)
    app.add_api_route("/-/healthy", _say_healthy, include_in_schema=False)
    app.add_api_route("/-/ready", _say_ready, include_in_schema=False)
    app.add_middleware(BodyLimit, max_bytes=_MAX_BODY_BYTES)
    answers.add_error_handlers(app)
    app.add_exception_handler(PoolTimeoutError, _answer_pool_timeout)
    app.add_exception_handler(DBAPIError, _answer_database_error)
    app.add_exception_handler(InjectedError, _answer_injected)
    instrument(app)
    return app


async def _say_healthy() -> PlainTextResponse:
    return PlainTextResponse("Healthy.\n")


async def _say_ready() -> PlainTextResponse:
    return PlainTextResponse("Ready.\n")


async def _answer_pool_timeout(request: Request, error: Exception) -> JSONResponse:
    log.warning("%s: no database connection came free in time", request.url.path)
    del error
    return JSONResponse({"detail": "No database connection came free in time: try again later."}, 504)


async def _answer_database_error(request: Request, error: Exception) -> JSONResponse:
    log.error("%s: %s", request.url.path, str(error).splitlines()[0])
    return JSONResponse({"detail": "The database did not answer as it should: try again later."}, 503)


async def _answer_injected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s: %s", request.url.path, error)
    return JSONResponse({"detail": "Internal server error"}, 500)


async def run(address: Address, settings: Settings) -> None:
    """Serve until a stop signal."""
    with serving.bind("--web.listen-address", address) as listener:
        app = build_app(settings)
        await serving.serve(app, listener, on_stop=app.state.service.hurry)
