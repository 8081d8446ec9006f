"""Scenarios of a file and of plain Python, run against a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path


async def _shop(request: bytes, writer: asyncio.StreamWriter) -> None:
    line, _, rest = request.partition(b"\r\n")
    path = line.split(b" ")[1].decode()
    if path == "/login":
        user = json.loads(rest.rpartition(b"\r\n\r\n")[2])["user"]
        body = json.dumps({"token": f"t-{user}", "items": [{"id": 7}]}).encode()
    elif path == "/items/7" and b"Bearer t-" in rest:
        body = b'{"state": "sold"}'
    else:
        body = b"{}"
    writer.write(b"HTTP/1.1 200 OK\r\nX-Page: 1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {"name": "t", "base_url": url, "duration_seconds": 0.5, "concurrent_users": 2}
    return LoadTestConfig.model_validate(base | changes)


STEPS = [
    {
        "path": "/login",
        "method": "POST",
        "data": {"user": "${user}"},
        "extract": {"token": "json:token", "id": "json:items[0].id", "page": "header:x-page"},
        "think_time_seconds": 0.01,
    },
    {
        "path": "/items/${id}",
        "headers": {"Authorization": "Bearer ${token}"},
        "checks": [{"json": "state", "equals": "sold"}],
    },
]


async def test_steps_carry_values_from_answer_to_request(serve: Any, tmp_path: Path):
    """What the first step's answer holds goes into the second; rows of the data file are taken in turn."""
    rows = tmp_path / "users.csv"
    rows.write_text("user,age\nann,3\nbob,4\n")
    async with serve(_shop) as service:
        config = _config(service.url, scenarios=[{"name": "buy", "steps": STEPS}], data_file=rows)
        summary = await LoadTester(config).run_load_test()
        users = [request.rpartition(b'"user":"')[2][:3] for request in service.requests if b"/login" in request]
    assert [endpoint.label for endpoint in summary.endpoints] == ["POST /login", "GET /items/${id}"]
    assert summary.failed_requests == 0
    assert set(users) == {b"ann", b"bob"}
    assert users[:4] in ([b"ann", b"bob"] * 2, [b"ann", b"bob", b"bob", b"ann"])
    assert summary.total_requests == len(service.requests)


async def test_a_check_that_fails_is_an_error_and_ends_the_pass(serve: Any):
    """The second step's check looks for what is not there."""
    steps = [{"path": "/x", "checks": [{"json": "state"}]}, {"path": "/never"}]
    async with serve(_shop) as service:
        summary = await LoadTester(_config(service.url, scenarios=[{"steps": steps}])).run_load_test()
    assert set(summary.outcomes) == {"check_failed"}
    assert summary.endpoints[1].total_requests == 0


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        ({"header": "X-Page", "equals": "1"}, "ok"),
        ({"header": "X-Page", "equals": "2"}, "check_failed"),
        ({"header": "X-None"}, "check_failed"),
        ({"body_contains": "{}"}, "ok"),
        ({"json": "a.b[0]"}, "check_failed"),
    ],
)
async def test_checks_look_at_headers_and_bodies(serve: Any, check: dict[str, str], outcome: str):
    """Each kind of check, once true and once not."""
    async with serve(_shop) as service:
        config = _config(service.url, duration_seconds=0.1, endpoints=[{"path": "/p", "checks": [check]}])
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {outcome}


SCRIPT = """
import asyncio

async def buy(user):
    answer = await user.post("/login", data={"user": user.values["iteration"]}, name="login")
    assert answer.ok and answer.status == 200
    await user.think(0.01)
    await asyncio.sleep(0.01)
    await user.get(f"/items/{answer.json()['items'][0]['id']}", name="item",
                   headers={"Authorization": "Bearer " + answer.json()["token"]},
                   checks=[{"json": "state", "equals": "sold"}])

async def breaks(user):
    await user.get("/a")
    raise ValueError("in the scenario's own code")

def not_async(user): ...
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A file of scenarios in plain async Python."""
    path = tmp_path / "shop.py"
    path.write_text(SCRIPT)
    return path


async def test_a_python_scenario_runs(serve: Any, script: Path):
    """An async function sends requests, pauses, awaits something else, and its endpoints have rows."""
    async with serve(_shop) as service:
        config = _config(service.url, scenarios=[{"name": "buy", "python": f"{script}:buy"}])
        summary = await LoadTester(config).run_load_test()
        assert summary.total_requests == len(service.requests)
    by_label = {endpoint.label: endpoint.total_requests for endpoint in summary.endpoints}
    assert summary.failed_requests == 0
    # Each of the two users may have been stopped between its two requests.
    assert 0 <= by_label["login"] - by_label["item"] <= 2
    assert by_label["item"] > 5


async def test_a_scenario_that_raises_is_counted(serve: Any, script: Path, caplog: pytest.LogCaptureFixture):
    """An exception in the user's code is an outcome of its scenario, logged once with its line; the run continues."""
    async with serve(_shop) as service:
        config = _config(service.url, duration_seconds=0.2, scenarios=[{"python": f"{script}:breaks"}])
        summary = await LoadTester(config).run_load_test()
    assert summary.outcomes["script_error"] > 1
    rows = {endpoint.label: endpoint.outcomes for endpoint in summary.endpoints}
    assert rows["scenario"] == {"script_error": summary.outcomes["script_error"]}
    [logged] = [record.getMessage() for record in caplog.records if record.name == "perfloop_loadgen.runner.run"]
    assert logged.startswith("a scenario raised ")
    assert f"({script}, line " in logged


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("none.py:buy", "there is no Python file none.py"),
        ("{script}:not_async", "not_async must be an async function that takes the user"),
        ("{script}:nobody", "nobody must be an async function that takes the user"),
    ],
)
def test_a_bad_reference_is_named(script: Path, reference: str, sentence: str):
    """No file, no function, not async: one sentence each."""
    config = _config("http://127.0.0.1:1", scenarios=[{"python": reference.format(script=script)}])
    with pytest.raises(ConfigError, match=sentence):
        LoadTester(config)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("none.csv", None, "cannot be read: No such file"),
        ("empty.csv", "user\n", "holds no rows"),
        ("x.json", "{", "is neither .csv nor JSON"),
        ("y.json", "[1]", "must be a list of objects"),
    ],
)
def test_a_bad_data_file_is_named(tmp_path: Path, name: str, text: str | None, sentence: str):
    """Each way a data file can be wrong: one sentence."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        LoadTester(_config("http://127.0.0.1:1", data_file=path))
