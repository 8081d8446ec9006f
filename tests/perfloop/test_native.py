"""The native stack as a person uses it: through the `perfloop` command, on free ports, without the demo."""

from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from perfloop.stack import records
from perfloop.stack.health import find_targets_down
from perfloop.stack.ports import is_free
from tests.support.native_stack import Stack, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A native stack without the demo, up and healthy."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    code, out, err = stack.run("up", "--native", "--no-demo")
    assert code == 0, err
    assert f"http://127.0.0.1:{stack.ports['prometheus']}" in out
    yield stack
    settle(stack)
    supervisord = int((stack.home / "run" / "supervisord.pid").read_text())
    processes = [psutil.Process(supervisord), *psutil.Process(supervisord).children(recursive=True)]
    code, _, err = stack.run("down")
    assert code == 0, err
    assert [process for process in processes if process.is_running()] == []
    assert [name for name, port in stack.ports.items() if not is_free(port)] == []


def settle(stack: Stack) -> None:
    """Wait until what an earlier test has killed is back and scraped, and no command is at work."""
    url = f"http://127.0.0.1:{stack.ports['prometheus']}"
    wait(lambda: (stack.home / "run" / "lock").read_text() == "", 60)
    wait(
        lambda: all(component["healthy"] for component in stack.components().values()) and not find_targets_down(url),
        45,
    )


@pytest.fixture
def settled(stack: Stack) -> Stack:
    """The stack, with nothing under way."""
    settle(stack)
    return stack


def test_every_component_is_healthy_and_scraped(settled: Stack) -> None:
    """Every component is healthy and every target of Prometheus is up."""
    assert all(component["state"] == "running" for component in settled.components().values())
    answer = httpx.get(f"http://127.0.0.1:{settled.ports['prometheus']}/api/v1/targets").json()
    targets = answer["data"]["activeTargets"]
    assert {target["labels"]["job"] for target in targets} >= {"node", "analyzer", "inbox", "alertmanager"}
    assert {target["health"] for target in targets} == {"up"}


def test_every_printed_page_opens(settled: Stack) -> None:
    """Every URL that `up` prints is a page that a browser can show."""
    urls = [str(component["url"]) for component in settled.components().values()]
    answers = {url: httpx.get(url, follow_redirects=True).status_code for url in urls}
    assert answers == dict.fromkeys(urls, 200)


def test_second_up_changes_nothing(settled: Stack) -> None:
    """A second `up` says so, ends 0, and every process is the same."""
    before = {name: component["since"] for name, component in settled.components().items()}
    code, out, err = settled.run("up", "--native", "--no-demo")
    assert code == 0
    assert "already running" in err
    assert str(settled.ports["prometheus"]) in out
    assert {name: component["since"] for name, component in settled.components().items()} == before


def test_up_with_the_demo_on_a_stack_without_it_is_refused(settled: Stack) -> None:
    """The running stack is not silently another than the one asked for."""
    code, _, err = settled.run("up", "--native")
    assert (code, err.strip()) == (2, "perfloop: the stack runs without the demo: `perfloop down` first")


@pytest.mark.parametrize("name", ["prometheus", "alertmanager", "exporter", "analyzer", "inbox"])
def test_killed_component_is_back_within_five_seconds(settled: Stack, name: str) -> None:
    """A component killed by SIGKILL runs again within five seconds; `status` and its log show it."""
    before, restarts = settled.process(name).pid, records.load_restarts(settled.home).get(name, 0)
    os.kill(before, signal.SIGKILL)
    assert wait(lambda: settled.process(name).pid != before, 5) < 5
    wait(lambda: bool(settled.components()[name]["healthy"]), 30)
    assert settled.components()[name]["restarts"] == restarts + 1
    assert "ended (terminated by SIGKILL; not expected)" in settled.run("logs", name, "-n", "500")[1]


def test_killed_supervisord_is_back_too(settled: Stack) -> None:
    """When supervisord itself is killed the guardian brings the whole stack back, with no process twice."""
    supervisord = int((settled.home / "run" / "supervisord.pid").read_text())
    orphans = [settled.process(name) for name in settled.components()]
    os.kill(supervisord, signal.SIGKILL)

    def is_back() -> bool:
        code, out, _ = settled.run("status", "--json")
        return code == 0 and all(component["healthy"] for component in json.loads(out)["parts"])

    wait(lambda: not any(process.is_running() for process in orphans), 30)
    wait(is_back, 60)
    assert int((settled.home / "run" / "supervisord.pid").read_text()) != supervisord


def test_user_targets_are_picked_up_without_a_restart(stack: Stack, checkout: Path) -> None:
    """A file in `prometheus/targets/` is scraped within seconds and carries its service label."""
    file = checkout / "prometheus" / "targets" / f"test-{os.getpid()}.yml"
    address = f"127.0.0.1:{stack.ports['exporter']}"
    file.write_text(json.dumps([{"targets": [address], "labels": {"service": "mine"}}]))
    url = f"http://127.0.0.1:{stack.ports['prometheus']}/api/v1/query"
    try:
        wait(lambda: bool(httpx.get(url, params={"query": 'up{service="mine"} == 1'}).json()["data"]["result"]), 30)
    finally:
        file.unlink()


def test_doctor_finds_nothing_wrong(settled: Stack) -> None:
    """On a healthy stack every line of `doctor` is ok."""
    code, out, err = settled.run("doctor")
    assert code == 0, out + err
    assert "FAIL" not in out
    assert "every target is up" in out


def test_logs_of_an_unknown_component(stack: Stack) -> None:
    """The sentence names the components that there are."""
    code, _, err = stack.run("logs", "postgres")
    assert code == 6
    assert "unknown component 'postgres': this stack has exporter" in err


def test_taken_port_leaves_nothing_behind(tmp_path: Path) -> None:
    """A taken port is named with its holder and variable; nothing was started."""
    stack = Stack(tmp_path)
    with socket.create_server(("127.0.0.1", stack.ports["inbox"])):
        code, _, err = stack.run("up", "--native", "--no-demo")
    assert code == 3
    assert f"port {stack.ports['inbox']} for inbox is taken by" in err
    assert f"pid {os.getpid()}" in err
    assert "PERFLOOP_INBOX_PORT" in err
    assert stack.run("status")[0] == 6


def test_two_ups_at_once(tmp_path: Path) -> None:
    """The second says that the first is running, and ends with its own exit code."""
    stack = Stack(tmp_path)
    with stack.start("up", "--native", "--no-demo") as first:
        wait(lambda: (tmp_path / "run" / "lock").exists() and bool((tmp_path / "run" / "lock").read_text()), 20)
        code, _, err = stack.run("up", "--native", "--no-demo")
        assert code == 5
        assert f"`perfloop up` (pid {first.pid}) is running in {tmp_path}" in err
        first.terminate()
        first.communicate(timeout=60)
    assert stack.run("status")[0] == 6, "an interrupted `up` leaves nothing half-started"


def test_component_that_does_not_start_stops_the_rest(tmp_path: Path) -> None:
    """A component that cannot run ends `up` with its name and the end of its log; the others are stopped again."""
    broken = tmp_path / "bin" / "alertmanager"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'level=error err=\"it is broken\"'\nexit 1\n")
    broken.chmod(0o755)
    stack = Stack(tmp_path / "home", PATH=os.pathsep.join([str(broken.parent), os.environ["PATH"]]))
    code, _, err = stack.run("up", "--native", "--no-demo")
    assert code == 7, err
    assert "alertmanager does not stay up, so the stack was stopped again; the end of its log:" in err
    assert "it is broken" in err
    assert stack.run("status")[0] == 6


def test_broken_settings_name_everything(tmp_path: Path) -> None:
    """A port that is none ends with 2 and one sentence."""
    code, _, err = Stack(tmp_path).run("up", "--native", PERFLOOP_DEMO_PORT="http")
    assert (code, err.strip()) == (
        2,
        "perfloop: PERFLOOP_DEMO_PORT is 'http': a port is a whole number from 1 to 65535",
    )


def test_secret_switches_its_channel_without_a_restart(settled: Stack, checkout: Path) -> None:
    """A file in `secrets/` sends that channel to the real service at the next `up`; taking it away switches back."""
    secret = checkout / "secrets" / "slack_api_url"
    assert not secret.exists(), "this test writes the secret itself"
    url = f"http://127.0.0.1:{settled.ports['alertmanager']}/api/v2/status"

    def channel() -> str:
        return str(httpx.get(url).json()["config"]["original"])

    before = settled.process("alertmanager").pid
    secret.write_text("http://127.0.0.1:9/services/T0/B0/x\n")
    try:
        secret.chmod(0o600)
        code, _, err = settled.run("up", "--native", "--no-demo")
        assert code == 0, err
        assert "the configuration of alertmanager has changed: reloading it" in err
        wait(lambda: "api_url_file" in channel(), 10)
    finally:
        secret.unlink()
    settled.run("up", "--native", "--no-demo")
    wait(lambda: "api_url_file" not in channel(), 10)
    assert settled.process("alertmanager").pid == before


def test_home_that_may_not_be_written(tmp_path: Path) -> None:
    """A home that is a file is one sentence, not a traceback."""
    home = tmp_path / "file"
    home.touch()
    code, _, err = Stack(home).run("up", "--native", "--no-demo")
    assert code == 1
    assert err.strip().splitlines()[-1] == f"perfloop: {home / 'run'}: Not a directory"
