"""What is asked of the components over HTTP, with a server that answers what it is given."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.stack import health
from perfloop.stack.records import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Server(HTTPServer):
    """Answers each path with the text it holds, the last one of a list again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[str]] = {}

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        answers = self.server.answers.get(self.path.partition("?")[0], [])
        self.send_response(200 if answers else 404)
        self.end_headers()
        if answers:
            self.wfile.write((answers.pop(0) if len(answers) > 1 else answers[0]).encode())

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A server in a thread."""
    with _Server() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _targets(**up: str) -> str:
    rows = [
        {"labels": {"job": job, "instance": "a:1"}, "health": state, "lastError": "refused" if state == "down" else ""}
        for job, state in up.items()
    ]
    return json.dumps({"data": {"activeTargets": rows}})


def test_targets_that_are_down_are_named(server: _Server) -> None:
    """Each with its job, address and the reason."""
    server.answers["/api/v1/targets"] = [_targets(node="up", demo="down", loadgen="unknown")]
    assert health.find_targets_down(server.url) == ["demo a:1: refused", "loadgen a:1: not scraped yet"]


def test_a_start_waits_for_its_own_targets_alone(server: _Server) -> None:
    """A service of the user's that is down does not stop the stack; a component of its own does."""
    server.answers["/api/v1/targets"] = [
        _targets(node="unknown", services="down"),
        _targets(node="up", services="down"),
    ]
    own = [Watched("exporter", "http://a:1", "")]
    assert health.wait_targets_up(server.url, own, 10) == ([], ["services a:1: refused"])
    server.answers["/api/v1/targets"] = [
        _targets(node="up", services="unknown"),
        _targets(node="up", services="down"),
    ]
    assert health.wait_targets_up(server.url, own, 10) == ([], ["services a:1: refused"]), "its first scrape decides"
    server.answers["/api/v1/targets"] = [_targets(node="down", services="down")]
    assert health.wait_targets_up(server.url, own, 0.3) == (["node a:1: refused"], ["services a:1: refused"])


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "alertmanager_2"])
def test_a_reload_is_seen_by_its_time(server: _Server, name: str) -> None:
    """The time of the last good reload must move; a component that refuses what it read keeps the old one."""
    metric = f"{name.partition('_')[0]}_config_last_reload_success_timestamp_seconds"
    component = Watched(name, server.url, "")
    server.answers["/metrics"] = [f"# HELP x\n{metric} 1.5e+09\n"]
    before = health.read_last_reload(component)
    assert before == 1.5e9
    assert not health.wait_reloaded(component, before, 0.3)
    server.answers["/metrics"] = [f"{metric} 1.5e+09\n", f"{metric} 1.6e+09\n"]
    assert health.wait_reloaded(component, before, 10)
