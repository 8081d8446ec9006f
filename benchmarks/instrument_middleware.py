"""What measuring adds to a request, side by side with prometheus-fastapi-instrumentator.

The same FastAPI app three times (bare, ours, theirs), driven in-process through ASGI: no socket, no client, so that
the difference to the bare app is the middleware's own.

python benchmarks/instrument_middleware.py   exits 1 when the bar is missed

It runs in the peer's environment, which has Perfloop too: both are measured in one process, in turn.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from importlib.metadata import version
from typing import Any

import peers
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from perfloop_exporter.instrument import instrument
from perfloop_exporter.metrics.registry import MetricRegistry

BAR = 0.3
REQUESTS = 1000
ROUNDS = 25
ROUTES = 20
PATH = f"/api/v1/group{ROUTES - 1}/items/7"


def build_app() -> FastAPI:
    """An app as services have it: some routers, a route with a parameter in the last one."""
    app = FastAPI()
    for number in range(ROUTES):
        router = APIRouter(prefix=f"/group{number}")

        @router.get("/items/{item}")
        async def read(item: int) -> dict[str, int]:
            return {"item": item}

        app.include_router(router, prefix="/api/v1")
    return app


def main() -> int:
    """Print what each adds and the ratio; return 1 if the bar is missed."""
    peers.run_inside("instrumentator", __file__)
    from prometheus_fastapi_instrumentator import Instrumentator

    apps = {"bare": build_app(), "ours": build_app(), "theirs": build_app()}
    instrument(apps["ours"], registry=MetricRegistry())
    Instrumentator(registry=CollectorRegistry()).instrument(apps["theirs"])
    medians, added = asyncio.run(measure(apps))
    ratio = added["ours"] / added["theirs"]
    met = ratio <= BAR
    print(f"bare FastAPI {version('fastapi')}                          {medians['bare']:8.2f} us per request")
    print(f"perfloop instrument(app)                       + {added['ours']:6.2f} us")
    print(
        f"prometheus-fastapi-instrumentator {version('prometheus-fastapi-instrumentator')}        "
        f"+ {added['theirs']:6.2f} us   ratio {ratio:.2f}"
    )
    print(f"bar: ratio <= {BAR}: {'met' if met else 'missed'}")
    return 0 if met else 1


async def measure(apps: dict[str, FastAPI]) -> tuple[dict[str, float], dict[str, float]]:
    """Median microseconds of a request of each app, and of what it adds to the bare one in the same round."""
    times: dict[str, list[float]] = {name: [] for name in apps}
    for app in apps.values():
        await drive(app, 200)
    for _ in range(ROUNDS):
        for name, app in apps.items():
            start = time.perf_counter_ns()
            await drive(app, REQUESTS)
            times[name].append((time.perf_counter_ns() - start) / REQUESTS / 1000)
    added = {
        name: statistics.median(mine - bare for mine, bare in zip(found, times["bare"], strict=True))
        for name, found in times.items()
    }
    return {name: statistics.median(found) for name, found in times.items()}, added


async def drive(app: Any, count: int) -> None:
    """Send requests as a server would, one after the other."""
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"bench"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip"),
    ]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        return

    for _ in range(count):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "method": "GET",
            "root_path": "",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": headers,
            "state": {},
        }
        await app(scope, receive, send)


if __name__ == "__main__":
    sys.exit(main())
