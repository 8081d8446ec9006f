"""The service's composition root: the only module that imports all the others."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from perfloop_base import answers, serving
from perfloop_base.addresses import listen
from perfloop_demo.service import page
from perfloop_demo.service.body_limit import BodyLimit
from perfloop_demo.service.faults.errors import InjectedError
from perfloop_demo.service.instruments.library import LIBRARY
from perfloop_demo.service.routes import agents, chat, faults, health, image, search, text
from perfloop_demo.service.service import Service, maybe_inject_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from perfloop_base.addresses import Address
    from perfloop_base.web.settings import Web
    from perfloop_demo.service.instruments import Instruments
    from perfloop_demo.service.settings import Settings

# Above the largest picture that the image route accepts.
_MAX_BODY_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


def build_app(settings: Settings, instruments: Instruments = LIBRARY) -> FastAPI:
    """Return the application; the service's databases and faults end with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Close the service when the application ends."""
        del app
        yield
        await asyncio.to_thread(service.close)

    service = Service(settings, instruments)
    app = FastAPI(title="Perfloop demo service", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    for work in (health, text, image, search, agents, chat):
        app.include_router(work.router, dependencies=[Depends(maybe_inject_error)] if work is not health else [])
    app.include_router(faults.router)
    app.include_router(page.router)
    app.add_api_route("/-/healthy", _get_healthy, include_in_schema=False)
    app.add_api_route("/-/ready", _get_ready, include_in_schema=False)
    app.add_middleware(BodyLimit, max_bytes=_MAX_BODY_BYTES)
    answers.add_error_handlers(app)
    app.add_exception_handler(PoolTimeoutError, _respond_to_pool_timeout)
    app.add_exception_handler(DBAPIError, _respond_to_database_error)
    app.add_exception_handler(InjectedError, _respond_to_injected_error)
    instruments.watch_app(app)
    return app


async def _get_healthy() -> PlainTextResponse:
    return PlainTextResponse("Healthy.\n")


async def _get_ready() -> PlainTextResponse:
    return PlainTextResponse("Ready.\n")


async def _respond_to_pool_timeout(request: Request, error: Exception) -> JSONResponse:
    del error
    log.warning("no database connection was free in time", extra={"path": request.url.path})
    return JSONResponse({"detail": "No database connection was free in time: try again later."}, 504)


async def _respond_to_database_error(request: Request, error: Exception) -> JSONResponse:
    log.error("database error", extra={"path": request.url.path, "error": str(error).splitlines()[0]})
    return JSONResponse({"detail": "The database reported an error: try again later."}, 503)


async def _respond_to_injected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("injected error", extra={"path": request.url.path, "error": str(error)})
    return JSONResponse({"detail": "Internal server error"}, 500)


async def run(address: Address, settings: Settings, web: Web, instruments: Instruments = LIBRARY) -> None:
    """Serve until a stop signal.

    Raises:
        ConfigError: the web configuration file is invalid.
        ListenError: the address is taken.
    """
    with listen(address, "--web.listen-address") as listener:
        app = build_app(settings, instruments)
        await serving.serve(app, listener, on_stop=app.state.service.hurry, web=web)
