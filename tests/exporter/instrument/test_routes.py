"""Route templates with a real server: nested routers, mounts, partial matches, unknown paths."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from perfloop_exporter.instrument import instrument
from perfloop_exporter.instrument.routes import route_template

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfloop_exporter.metrics.registry import MetricRegistry

    from .conftest import RunningServer


def build_app(tmp_path: Path) -> FastAPI:
    """Return an app with every way in which FastAPI and Starlette nest routes."""

    def echo(request: Request) -> str:
        return request.url.path

    def router(prefix: str, path: str) -> APIRouter:
        made = APIRouter(prefix=prefix)
        made.get(path)(echo)
        return made

    app = FastAPI()
    app.get("/plain/{i}")(echo)
    inner, middle, outer = router("/inner", "/{x}"), APIRouter(prefix="/mid"), APIRouter(prefix="/{org}/outer")
    middle.include_router(inner)
    outer.include_router(middle)
    app.include_router(outer, prefix="/v1")

    child = FastAPI()
    child.include_router(router("/c1", "/list/{n}"))
    child.get("/direct/{n}")(echo)
    app.mount("/api", child)
    tenant = FastAPI()
    tenant.get("/items/{n}")(echo)
    app.mount("/tenants/{tenant}", tenant)

    async def star(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    app.mount("/star", Starlette(routes=[Mount("/deep", routes=[Route("/{leaf:path}", star)])]))
    (tmp_path / "file.txt").write_text("file")
    app.mount("/static", StaticFiles(directory=tmp_path))
    included = APIRouter()
    mounted = FastAPI()
    mounted.get("/leaf/{z}")(echo)
    included.mount("/sub", mounted)
    app.include_router(included, prefix="/included")
    return app


CASES = [
    ("GET", "/plain/1", 200, "/plain/{i}"),
    ("POST", "/plain/1", 405, "/plain/{i}"),
    ("GET", "/v1/acme/outer/mid/inner/5", 200, "/v1/{org}/outer/mid/inner/{x}"),
    ("POST", "/v1/acme/outer/mid/inner/5", 405, "/v1/{org}/outer/mid/inner/{x}"),
    ("GET", "/api/c1/list/7", 200, "/api/c1/list/{n}"),
    ("GET", "/api/direct/7", 200, "/api/direct/{n}"),
    ("GET", "/tenants/acme/items/7", 200, "/tenants/{tenant}/items/{n}"),
    ("GET", "/star/deep/a/b/c", 200, "/star/deep/{leaf:path}"),
    ("GET", "/static/file.txt", 200, "/static/{path}"),
    ("GET", "/included/sub/leaf/3", 200, "/included/sub/leaf/{z}"),
    ("GET", "/nope", 404, "unmatched"),
    ("GET", "/api/zzz", 404, "unmatched"),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "behind a BaseHTTPMiddleware"])
def test_the_template_is_complete(
    serve: Callable[..., RunningServer], registry: MetricRegistry, tmp_path: Path, *, wrapped: bool
):
    """Every request is counted once under its full template, never under its path."""
    app = build_app(tmp_path)
    if wrapped:

        async def untouched(request: Request, call_next: Callable) -> Response:
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=untouched)
    server = serve(instrument(app, registry=registry))
    for method, path, status, _ in CASES:
        assert server.http.request(method, path).status_code == status, path
    expected: dict[tuple[str, str, str], float] = {}
    for method, _, status, template in CASES:
        expected[method, template, str(status)] = expected.get((method, template, str(status)), 0) + 1
    # A request is counted after its last byte was sent.
    deadline = time.monotonic() + 60
    while (counted := count_requests(server)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert counted == expected


def count_requests(server: RunningServer) -> dict[tuple[str, str, str], float]:
    """Return the number of requests by method, route and status."""
    return {
        (labels["http_request_method"], labels["http_route"], labels["http_response_status_code"]): value
        for (name, pairs), value in server.samples().items()
        if name == "http_server_request_duration_seconds_count" and (labels := dict(pairs))
    }


def test_a_server_s_root_path_is_not_part_of_the_route(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """With `--root-path` the template is the app's own, and `/metrics` is not measured."""
    app = FastAPI()
    app.get("/x/{i}")(lambda i: i)
    child = FastAPI()
    child.get("/y/{i}")(lambda i: i)
    app.mount("/sub", child)
    server = serve(instrument(app, registry=registry), root_path="/proxy")
    server.http.get("/x/1")
    server.http.get("/sub/y/1")
    for _ in range(2):
        samples = server.samples()
    routes = {dict(labels).get("http_route") for name, labels in samples if name.endswith("duration_seconds_count")}
    assert {"/x/{i}", "/sub/y/{i}"} == routes - {None}


def test_an_app_inside_an_app_is_measured_once(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """When both are instrumented, a request is counted once; instrumenting an app twice has no effect."""
    child, app = FastAPI(), FastAPI()
    child.get("/leaf")(lambda: 1)
    app.mount("/sub", instrument(child, registry=registry))
    server = serve(instrument(instrument(app, registry=registry), registry=registry))
    server.http.get("/sub/leaf")
    assert (
        server.value(
            "http_server_request_duration_seconds_count",
            http_request_method="GET",
            http_route="/sub/leaf",
            http_response_status_code="200",
        )
        == 1
    )


def test_without_a_route_in_the_scope_it_is_found_by_the_endpoint():
    """Starlette before 1.0 has only the endpoint; of two routes with one endpoint, the one that matches is found."""

    async def leaf(_request: Request) -> Response:
        return PlainTextResponse("")

    async def other(_request: Request) -> Response:
        return PlainTextResponse("")

    app = Starlette(
        routes=[
            Route("/a/{x}", leaf),
            Route("/b/{x}", leaf),
            Mount("/m", routes=[Route("/o/{y}", other)]),
        ]
    )

    def template(path: str, root: str, endpoint: object) -> str:
        return route_template({"app": app, "endpoint": endpoint, "path": path, "root_path": root}, "")

    assert template("/a/1", "", leaf) == "/a/{x}"
    assert template("/b/1", "", leaf) == "/b/{x}"
    assert template("/m/o/1", "/m", other) == "/m/o/{y}"
    assert template("/c", "", print) == "unmatched"
    app.router.routes.append(Route("/late", print))
    assert template("/late", "", print) == "/late"


@pytest.mark.parametrize("how", ["answers", "raises", "copies the scope"])
def test_what_a_middleware_answers_has_the_route_behind_it(
    serve: Callable[..., RunningServer], registry: MetricRegistry, tmp_path: Path, how: str
):
    """A refusal, an error and a preflight are counted where they would have been served; unknown paths are not."""
    app = build_app(tmp_path)

    class Front:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if how == "copies the scope" or scope["path"] == "/metrics":
                await self.inner(dict(scope), receive, send)
            elif how == "raises":
                raise RuntimeError("no session")
            else:
                await PlainTextResponse("", 401)(scope, receive, send)

    app.add_middleware(Front)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    server = serve(instrument(app, registry=registry))
    for method, path, _, _ in CASES:
        server.http.request(method, path)
    preflight = {"Origin": "http://a", "Access-Control-Request-Method": "GET"}
    assert server.http.options("/plain/1", headers=preflight).status_code == 200
    status = {"answers": "401", "raises": "500"}
    expected: dict[tuple[str, str, str], float] = {("OPTIONS", "/plain/{i}", "200"): 1}
    for method, _, own, template in CASES:
        key = (method, template, status.get(how, str(own)))
        expected[key] = expected.get(key, 0) + 1
    deadline = time.monotonic() + 60
    while (counted := count_requests(server)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert counted == expected


def test_a_refusal_of_a_mounted_app_has_its_route(serve: Callable[..., RunningServer], registry: MetricRegistry):
    """The middlewares of a mounted app answer in front of its routes, too."""
    app, child = FastAPI(), FastAPI()
    child.get("/items/{n}")(lambda n: n)

    async def refuse(_request: Request, _call_next: object) -> Response:
        return PlainTextResponse("", 403)

    child.add_middleware(BaseHTTPMiddleware, dispatch=refuse)
    app.mount("/sub", child)
    server = serve(instrument(app, registry=registry))
    server.http.get("/sub/items/1")
    server.http.get("/sub/nothing")
    deadline = time.monotonic() + 60
    expected = {("GET", "/sub/items/{n}", "403"): 1.0, ("GET", "unmatched", "403"): 1.0}
    while (counted := count_requests(server)) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert counted == expected
