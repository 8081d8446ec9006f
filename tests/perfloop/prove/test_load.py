"""The load of an incident: read from a real Prometheus, planned, and replayed at the same rates."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop.prove.blocks import Timing, order_of, run_block
from perfloop.prove.errors import ProofError
from perfloop.prove.plan import fetch_requests, make_plan, read_requests
from perfloop.prove.sides import WITH, WITHOUT
from perfloop.prove.traffic import Prometheus, Route, Tokens, Traffic, read_traffic
from perfloop_base.errors import ExitCode
from perfloop_loadgen.config import EndpointConfig
from perfloop_loadgen.errors import QueryError
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

END = 1_790_000_000.0
START = END - 300.0
RATES = {("GET", "/items/{id}"): 4.0, ("POST", "/buy"): 0.5, ("GET", "/metrics"): 0.2, ("GET", "/"): 2.0}


def _counter(rate: float) -> Callable[[float], float]:
    return lambda moment: 1000.0 + rate * (moment - START + 600)


def _history() -> dict[str, Callable[[float], float]]:
    series: dict[str, Callable[[float], float]] = {}
    for (method, route), rate in RATES.items():
        for service, factor in (("shop", 1.0), ("other", 7.0)):
            labels = f'{{service="{service}",http_request_method="{method}",http_route="{route}"}}'
            series[f"http_server_request_duration_seconds_count{labels}"] = _counter(factor * rate)
            series[f"http_server_request_duration_seconds_sum{labels}"] = _counter(factor * rate * 0.25)
            series[f"http_server_response_body_bytes_total{labels}"] = _counter(factor * rate * 800)
    for kind, tokens in (("input", 200.0), ("output", 50.0)):
        labels = f'{{service="shop",gen_ai_request_model="small",gen_ai_token_type="{kind}"}}'
        series[f"gen_ai_server_tokens_per_call_sum{labels}"] = _counter(tokens)
        series[f"gen_ai_server_tokens_per_call_count{labels}"] = _counter(1.0)
    return series


@pytest.fixture(scope="module")
def prometheus(prometheus_binary: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus with ten minutes of two services."""
    times = [START - 300 + 5 * step for step in range(122)]
    directory = tmp_path_factory.mktemp("load")
    with serve_history(prometheus_binary, promtool, directory, write_history(_history(), times)) as client:
        yield Prometheus(str(client.base_url))


def test_the_traffic_of_an_incident_is_read_route_by_route(prometheus: Prometheus) -> None:
    """Rates, times, sizes and tokens of this service; scrapes of its metrics are nobody's requests."""
    found = read_traffic(prometheus, "shop", START, END)
    assert [route.name for route in found.routes] == ["GET /items/{id}", "GET /", "POST /buy"]
    for route in found.routes:
        assert route.rate == pytest.approx(RATES[route.method, route.route], rel=0.01)
        assert route.seconds == pytest.approx(0.25, rel=0.01)
        assert route.response_bytes == pytest.approx(800, rel=0.01)
    assert found.concurrency == pytest.approx(6.5 * 0.25, rel=0.01)
    (tokens,) = found.tokens
    assert tokens.model == "small"
    assert [tokens.read, tokens.written] == pytest.approx([200.0, 50.0])


@pytest.mark.parametrize(
    ("skip", "left"),
    [
        (("POST /buy",), ["GET /items/{id}", "GET /"]),
        (("/items/{id}", "/"), ["POST /buy"]),
        (("GET /buy", "/item"), ["GET /items/{id}", "GET /", "POST /buy"]),
    ],
)
def test_routes_that_are_to_be_skipped_are_left_out(
    prometheus: Prometheus, skip: tuple[str, ...], left: list[str]
) -> None:
    """With their method or of every method; a name that no route has takes nothing away."""
    assert [route.name for route in read_traffic(prometheus, "shop", START, END, skip).routes] == left


@pytest.mark.parametrize(("service", "start"), [("nobody", START), ("shop", START - 86_400)])
def test_a_time_without_requests_is_refused(prometheus: Prometheus, service: str, start: float) -> None:
    """With one sentence, and never a proof of nothing."""
    with pytest.raises(ProofError, match=f"0 requests of {service} in the 300s of the incident: 10 are needed"):
        read_traffic(prometheus, service, start, start + 300)


def test_a_prometheus_that_does_not_answer_is_one_sentence() -> None:
    """Without the password of its address."""
    with pytest.raises(QueryError) as caught:
        read_traffic(Prometheus("http://me:hunter22secret@127.0.0.1:9"), "shop", START, END)  # secret-scan: fake
    assert "hunter22secret" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.SOURCE_UNAVAILABLE


TRAFFIC = Traffic(
    "shop", START, END, (Route("GET", "/items/{id}", 4.0, 0.2), Route("GET", "/", 2.0, 0.2), Route("POST", "/buy", 0.5))
)


def _endpoint(**fields: object) -> EndpointConfig:
    return EndpointConfig.model_validate(fields)


def test_the_plan_gives_each_route_its_rate_and_its_body() -> None:
    """By name, by the form of its path, or plainly where nothing else is needed."""
    known = [_endpoint(path="/items/77?full=1"), _endpoint(path="/x", method="POST", name="POST /buy", data={"n": 1})]
    plan = make_plan(TRAFFIC, known)
    assert [(one.name, one.path, one.data) for one in plan.test.endpoints] == [
        ("GET /items/{id}", "/items/77?full=1", None),
        ("GET /", "/", None),
        ("POST /buy", "/x", {"n": 1}),
    ]
    assert plan.rates == (4.0, 2.0, 0.5)
    assert make_plan(TRAFFIC, known, 2.0).rates == (8.0, 4.0, 1.0)


@given(
    st.lists(st.floats(0.001, 20.0), min_size=1, max_size=6),
    st.integers(3, 12),
    st.floats(10.0, 60.0),
)
def test_over_all_pairs_each_route_comes_as_often_as_its_rate_says(
    rates: list[float], pairs: int, seconds: float
) -> None:
    """To the request, however rare it is; both blocks of a pair have the same."""
    routes = tuple(Route("GET", f"/{number}", rate) for number, rate in enumerate(rates))
    plan = make_plan(replace(TRAFFIC, routes=routes), [])
    counts: Counter[str | None] = Counter()
    for pair in range(pairs):
        try:
            test = plan.of_pair(pair, seconds)
        except ProofError:
            continue  # so rare that the pair has none at all
        assert test.load is not None
        assert test.load.model_dump()["rate"] * seconds == pytest.approx(sum(one.weight for one in test.endpoints))
        counts.update({one.name: one.weight for one in test.endpoints})
    for route in routes:
        assert abs(counts[route.name] - route.rate * pairs * seconds) <= 1.0


def test_routes_whose_requests_nobody_knows_are_named_together() -> None:
    """A body is never made up from nothing."""
    with pytest.raises(ProofError, match=r"no request is known for GET /items/\{id\}, POST /buy: describe them"):
        make_plan(TRAFFIC, [_endpoint(path="/items")])


def test_a_chat_has_the_token_lengths_of_the_incident() -> None:
    """As many words as the tokens that were read, and at most those that were written."""
    chat = Traffic("shop", START, END, (Route("POST", "/v1/chat/completions", 1.0),), (Tokens("small", 200, 50),))
    (one,) = make_plan(
        chat, [_endpoint(path="/v1/chat/completions", method="POST", data={"messages": []})]
    ).test.endpoints
    assert one.llm is not None
    asked = one.llm.model_dump(mode="json")
    assert (asked["model"], asked["prompt_words"]["value"], asked["max_tokens"]["value"]) == ("small", 150, 50)
    assert one.data is None


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "shop", "version": "1"},
    "paths": {
        "/items/{id}": {
            "get": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "ok"}},
            }
        },
        "/buy": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}
                    }
                },
                "responses": {"200": {"description": "ok"}},
            }
        },
    },
}


class _Service:
    """A service on loopback that counts its requests by path, and describes itself."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client leaves."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                length = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length")]
                await reader.readexactly(int(length[0]) if length else 0)
                self.seen.append(f"{method} {path}")
                body = json.dumps(DOCUMENT).encode() if path == "/openapi.json" else b"{}"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def test_a_block_sends_every_route_at_its_rate_and_measures_after_settling() -> None:
    """Within 5%, by the service's own count; the bodies are from its OpenAPI document."""

    async def play() -> None:
        service = _Service()
        server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with httpx.Client() as client:
            known = await asyncio.to_thread(fetch_requests, url, client)
            traffic = replace(TRAFFIC, routes=tuple(replace(one, rate=20 * one.rate) for one in TRAFFIC.routes))
            plan = make_plan(traffic, known)
            service.seen.clear()

            block = await run_block(plan, url, 0, WITH, Timing(3, 2.0, 1.0))
        server.close()
        await asyncio.sleep(0.1)  # the connections that the client has closed
        assert block.verdict != "invalid", block.reasons
        assert block.end - block.start == pytest.approx(2.0)
        for route in traffic.routes:
            assert block.requests[route.name] / block.seconds == pytest.approx(route.rate, rel=0.05), route.name
        assert service.seen.count("POST /buy") == block.requests["POST /buy"]
        assert set(block.errors.values()) == {0.0}

    asyncio.run(play())


def test_a_file_of_load_tests_gives_the_requests(tmp_path: Path) -> None:
    """All of its tests together."""
    file = tmp_path / "requests.yml"
    file.write_text("load_tests:\n  a: {endpoints: [{path: /a}]}\n  b: {endpoints: [{path: /b, method: POST}]}\n")
    assert [(one.method, one.path) for one in read_requests(file)] == [("GET", "/a"), ("POST", "/b")]


def test_each_pair_has_both_sides_in_random_order() -> None:
    """The same seed gives the same order."""
    order = order_of(20, 3)
    for pair in range(20):
        assert {side for number, side in order if number == pair} == {WITHOUT, WITH}
    firsts = [side for place, (_, side) in enumerate(order) if place % 2 == 0]
    assert 4 <= firsts.count(WITH) <= 16
    assert order_of(20, 3) == order
