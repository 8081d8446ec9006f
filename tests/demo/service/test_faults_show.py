"""Each fault, switched on in the real program, shows in every metric in which it should."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.demo.service.readings import Change, scrape
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.support.programs import Program

HTTP = "http_server_request_duration_seconds"
DATABASE = "db_client_operation_duration_seconds"
SEARCH = {"http_route": "/api/v1/search"}
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
MIB = 1024 * 1024


def _break(program: Program, **faults: float) -> None:
    assert program.client.put("/faults", json=faults).raise_for_status().json() == faults


def _search(program: Program, query: str = "slow cache") -> int:
    return program.client.post("/api/v1/search", json={"query": query}).status_code


def test_slow_queries(running_service: Program):
    """The wait is in the database's time and in the request's; other parts stay fast."""
    _search(running_service)
    change = Change(running_service.client)
    _break(running_service, slow_queries=0.3)
    assert [_search(running_service) for _ in range(3)] == [200] * 3
    assert change.mean(DATABASE, db_system_name="sqlite", db_operation_name="SELECT") >= 0.3
    assert change.mean(HTTP, **SEARCH) >= 0.3
    assert change.mean(DATABASE, db_system_name="vector") < 0.3


def test_cache_off(running_service: Program):
    """Reads go on and none of them hits; after healing they hit again."""
    _search(running_service)
    _break(running_service, cache_off=True)
    change = Change(running_service.client)
    for _ in range(5):
        _search(running_service)
    assert (change.of("cache_requests_total"), change.of("cache_hits_total")) == (5, 0)
    running_service.client.delete("/faults")
    _search(running_service)
    _search(running_service)
    assert change.of("cache_hits_total") >= 1


def test_cpu_burn(running_service: Program):
    """Processes of the service burn CPU, and are gone when it is healed."""
    service = psutil.Process(running_service.process.pid)
    _break(running_service, cpu_burn=1.5)
    burners = service.children()
    assert len(burners) == 2

    def burn() -> bool:
        return sum(burner.cpu_times().user for burner in burners) > 0.3

    wait_for(burn, "the CPU to burn")
    running_service.client.delete("/faults")
    assert service.children() == []


def test_errors(running_service: Program):
    """All requests fail with 500 at 1; at one half some do and some do not; health does not."""
    change = Change(running_service.client)
    _break(running_service, errors=1)
    assert {_search(running_service) for _ in range(10)} == {500}
    assert change.of(f"{HTTP}_count", http_response_status_code="500", **SEARCH) == 10
    assert running_service.client.get("/health").status_code == 200
    _break(running_service, errors=0.5)
    assert {_search(running_service) for _ in range(60)} == {200, 500}


def test_memory_leak(running_service: Program):
    """The process really grows, and gives the memory back."""
    service = psutil.Process(running_service.process.pid)
    before = service.memory_info().rss
    _break(running_service, memory_leak=100)
    wait_for(lambda: service.memory_info().rss > before + 60 * MIB, "the process to grow")
    running_service.client.delete("/faults")
    wait_for(lambda: service.memory_info().rss < before + 20 * MIB, "the process to shrink")


def test_pool_exhausted(running_service: Program):
    """Held connections show as used; with none left, requests wait and end with 504."""
    change = Change(running_service.client)
    _break(running_service, pool_exhausted=10)
    assert scrape(running_service.client).sum("db_client_connection_count", state="used") == 10
    assert scrape(running_service.client).sum("db_client_connection_max") == 10
    assert _search(running_service) == 504
    assert change.of(f"{HTTP}_count", http_response_status_code="504", **SEARCH) == 1
    assert change.mean(HTTP, http_response_status_code="504", **SEARCH) >= 1.9
    _break(running_service, pool_exhausted=9)
    assert _search(running_service) == 200


def test_slow_first_token(running_service: Program):
    """The wait is in the time to first token, in the model's time and in the request's."""
    running_service.client.post("/v1/chat/completions", json=CHAT)
    change = Change(running_service.client)
    _break(running_service, slow_first_token=0.5)
    assert running_service.client.post("/v1/chat/completions", json=CHAT).status_code == 200
    for name in (
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_request_duration_seconds",
        HTTP,
    ):
        labels = {"http_route": "/v1/chat/completions"} if name == HTTP else {}
        assert change.mean(name, **labels) >= 0.5, name


def test_streamed_first_token_is_late_on_the_wire(running_service: Program):
    """A client that streams sees its first word only after the wait."""
    _break(running_service, slow_first_token=0.5)
    start, first = time.monotonic(), 0.0
    with running_service.client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as answer:
        for line in answer.iter_lines():
            content = line.startswith("data: {") and json.loads(line[6:])["choices"][0]["delta"].get("content")
            if content and not first:
                first = time.monotonic() - start
    assert first >= 0.5


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("slow_queries", 0.1),
        ("cache_off", True),
        ("cpu_burn", 0.1),
        ("errors", 0.1),
        ("memory_leak", 0.1),
        ("pool_exhausted", 1),
        ("slow_first_token", 0.1),
    ],
)
def test_setting_is_shown_until_it_ends(running_service: Program, fault: str, value: Any):
    """The API and a metric show a fault until it is switched off."""
    client = running_service.client
    _break(running_service, **{fault: value})
    assert client.get("/faults").json() == {fault: value}
    assert scrape(client).sum("app_fault_setting", fault=fault) == float(value)
    assert client.put("/faults", json={fault: type(value)(0)}).json() == {}
    assert scrape(client).sum("app_fault_setting") == 0


def test_faults_add_up(running_service: Program):
    """A second request adds to the first; DELETE ends all."""
    client = running_service.client
    _break(running_service, errors=0.5)
    assert client.put("/faults", json={"cache_off": True}).json() == {"errors": 0.5, "cache_off": True}
    assert client.delete("/faults").json() == {}
