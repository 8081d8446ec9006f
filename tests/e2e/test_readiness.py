"""`perfloop check` on a fresh stack: red for the right reasons, green after what it says, red when a secret breaks."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.native_stack import PERFLOOP, Stack
from tests.support.outside import web_service
from tests.support.readiness import CHECKOUT, answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not os.environ.get("PERFLOOP_LONG_TESTS"),
        reason="takes five to eight minutes: set PERFLOOP_LONG_TESTS=1 to run it",
    ),
]
# What a small machine can show: the goals are the service's own.
SCALING = "services:\n  - service: demo\n    goal_requests_per_second: 5\n    goal_growth: 1.2\n"
LOAD = """load_tests:
  shop:
    name: shop
    service: demo
    duration_seconds: 75
    concurrent_users: 4
    think_time_seconds: 0.3
    endpoints:
      - {path: /api/v1/search, method: POST, data: {query: "load test query"}}
      - path: /v1/chat/completions
        method: POST
        stream: true
        data: {messages: [{role: user, content: "Describe the evening peak."}], max_tokens: 4, stream: true}
    thresholds: ["errors < 1 %"]
  limit:
    name: limit
    service: demo
    load: {shape: breakpoint, start_rate: 12, max_rate: 24, step_seconds: 10}
    endpoints:
      - {path: /api/v1/search, method: POST, data: {query: "load test query"}}
    thresholds: ["p95 < 500 ms", "errors < 1 %"]
"""


class Own:
    """A stack with a configuration of its own, and what a person does with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "shop"
        self.stack = Stack(directory / "home", PERFLOOP_LOADGEN_STORE_URL="")
        self.run("init", str(self.directory), cwd=directory)
        (self.directory / "prometheus" / "scaling.yml").write_text(SCALING)
        (self.directory / "load.yml").write_text(LOAD)

    def run(self, *arguments: str, code: int = 0, cwd: Path | None = None) -> str:
        """Run `perfloop` in the directory and return what it prints."""
        command = [str(PERFLOOP), *arguments]
        done = subprocess.run(
            command, cwd=cwd or self.directory, env=self.stack.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (arguments, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def test_load(self, *arguments: str, tries: int = 4) -> None:
        """Run a load test; on a busy machine, where the generator is the limit, again."""
        command = [str(PERFLOOP), "loadgen", *arguments]
        for _ in range(tries):
            done = subprocess.run(
                command, cwd=self.directory, env=self.stack.environment, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                return
        raise AssertionError((arguments, done.stdout[-3000:], done.stderr[-3000:]))

    def check(self, *arguments: str) -> tuple[str, dict[str, dict[str, Any]]]:
        """Return the verdict of the check, and its lines by their names."""
        command = [str(PERFLOOP), "check", "--service", "demo", "--json", *arguments]
        done = subprocess.run(
            command, cwd=self.directory, env=self.stack.environment, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        document = json.loads(done.stdout)
        lines = {f"{one['check']}/{one['of']}".rstrip("/"): one for one in document["checks"]}
        assert {"passed": 0, "failed": 1, "unknown": 14}[document["verdict"]] == done.returncode
        return document["verdict"], lines


@pytest.fixture
def own(tmp_path: Path, prometheus_binary: str, alertmanager_binary: str) -> Iterator[Own]:
    """A stack that runs with the demo."""
    made = Own(tmp_path)
    try:
        made.run("up", "--native")
        yield made
    finally:
        made.run("down")


def not_passed(lines: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the verdicts of the lines that did not pass."""
    return {name: one["verdict"] for name, one in lines.items() if one["verdict"] != "passed"}


UNDONE = ("baseline", "load-test", "throughput", "real-channel", "backup")
WORKING = ("limits", "alerts", "routes", "test-alert/slack", "test-alert/email", "retention", "targets")


def do_what_it_says(own: Own, slack: str, backups: Path) -> None:
    """Run the commands that the lines of a fresh stack name."""
    tests = ("--url", f"http://127.0.0.1:{own.stack.ports['demo']}", "--label", "version=1.4")
    own.test_load("run", "load.yml", "--test", "shop", *tests, "--save-baseline", "main")
    own.test_load("breakpoint", "load.yml", "--test", "limit", *tests)
    (own.directory / "secrets" / "slack_api_url").write_text(f"{slack}/services/T1/B1/s3cretsecret\n")
    own.run("up", "--native")
    backups.mkdir()
    own.run("backup", "create", str(backups), "--with-secrets")


def wait_until_green(own: Own, *arguments: str) -> None:
    """Wait until every line passes; a failure names those that do not. Generated files may be stale: a line says so."""
    end = time.monotonic() + 420
    while left := {name: one for name, one in own.check(*arguments)[1].items() if one["verdict"] != "passed"}:
        assert time.monotonic() < end, {name: one["finding"] for name, one in left.items()}
        if any(one["command"] == "perfloop up" for one in left.values()):
            own.run("up", "--native")
        time.sleep(5)


def test_red_green_red(own: Own, tmp_path: Path):
    """A fresh stack lacks what nobody has done yet; each step that is named makes its line green; a secret breaks."""
    boards = [json.loads(path.read_text()) for path in (CHECKOUT / "grafana" / "dashboards").glob("*.json")]
    answers = {f"/api/dashboards/uid/{one['uid']}": {"dashboard": {"uid": one["uid"]}} for one in boards}
    # Where there is no Grafana, a program that answers as one with the dashboards takes its place.
    with answering(answers) as grafana, web_service() as slack:
        arguments = ("--label", "version=1.4", "--grafana.url", grafana.url)
        verdict, fresh = own.check(*arguments)
        red = not_passed(fresh)
        assert verdict == "failed"
        assert {name: red.get(name) for name in UNDONE} == dict.fromkeys(UNDONE, "failed")
        assert [name for name in WORKING if name in red] == []

        do_what_it_says(own, slack.url, tmp_path / "backups")
        wait_until_green(own, *arguments)

        slack.status = 403
        verdict, broken = own.check(*arguments)
        assert (verdict, not_passed(broken)) == ("failed", {"test-alert/slack": "failed"})
        assert "s3cretsecret" not in json.dumps(broken)
        assert "403" in broken["test-alert/slack"]["finding"]
