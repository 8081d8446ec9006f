"""Faults of the running native stack, each on real processes: none of them ends the monitoring, and none passes unsaid.

Each starts, kills or waits for whole stacks: but for a few they run with PERFLOOP_LONG_TESTS=1.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from perfloop.stack import records, strays
from perfloop.stack.ports import is_free
from perfloop.stack.supervision import socket_path
from perfloop.stack.target_files import PROCESS_LABEL
from perfloop_base.processes import identify
from tests.support.native_stack import Stack, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("faults"), pytest.mark.timeout(600)]
long_test = pytest.mark.skipif(
    not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes a minute or more: set PERFLOOP_LONG_TESTS=1 to run it"
)
HANG_SECONDS = 45  # within which a component that hangs is another process
COMPONENTS = ("exporter", "inbox", "alertmanager", "prometheus", "analyzer")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A native stack without the demo that the tests of this file damage one after the other."""
    stack = Stack(tmp_path_factory.mktemp("faults") / "home")
    stack.up()
    yield stack
    stack.clear()
    assert strays.find_strays(stack.home) == {}
    assert [name for name, port in stack.ports.items() if not is_free(port)] == []


@pytest.fixture
def settled(stack: Stack) -> Stack:
    """The stack, all healthy and with no command at work."""
    if not stack.is_healthy():
        wait(lambda: records.find_lock_holder(stack.home) is None and stack.is_healthy(), 120, "a healthy stack")
    return stack


def _kill_watchers(stack: Stack) -> None:
    """Kill supervisord and the guardian together.

    supervisord first: it would start another guardian, which would start another supervisord.
    """
    watchers = [stack.supervisord(), stack.process("guardian")]
    for process in watchers:
        process.kill()
    wait(lambda: not stack.status()["parts"] or stack.status()["trouble"] is not None, 10, "the trouble in status")


def test_the_home_is_private(settled: Stack) -> None:
    """Its owner alone may enter it, whatever the umask is; an existing one is tightened by the next `up`."""
    assert stat.S_IMODE(settled.home.stat().st_mode) == 0o700
    secrets = [settled.home / "analyzer" / "token", settled.home / "grafana" / "admin-password"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secrets] == [0o600, 0o600]
    settled.home.chmod(0o755)
    settled.up()
    assert stat.S_IMODE(settled.home.stat().st_mode) == 0o700


def test_supervisord_and_guardian_killed_then_up(settled: Stack) -> None:
    """`status` says what runs unsupervised and ends with 7, `doctor` with 1; `up` replaces each process once."""
    before = {name: settled.process(name) for name in COMPONENTS}
    _kill_watchers(settled)
    code, out, err = settled.run("status")
    assert code == 7
    assert out.count("unsupervised") == len(COMPONENTS)
    assert "does not answer: what still runs is not looked after" in err
    assert settled.run("doctor")[0] == 1
    assert all(process.is_running() for process in before.values())
    said = settled.up()
    assert "processes of an earlier stack run without their supervisor: replacing alertmanager, analyzer" in said
    assert [name for name, process in before.items() if process.is_running()] == []
    assert settled.is_healthy()


def test_supervisord_and_guardian_killed_then_down(settled: Stack) -> None:
    """`down` ends what they left, without any record of it, and says that the stack is stopped when it is."""
    _kill_watchers(settled)
    for record in ("pids.json", "stack.json", "supervisord.pid"):
        (settled.home / "run" / record).unlink(missing_ok=True)
    code, _, err = settled.run("down")
    assert (code, err) == (0, "the stack is stopped\n")
    assert strays.find_strays(settled.home) == {}
    assert settled.run("status")[0] == 6
    settled.up()


@long_test
@pytest.mark.parametrize(
    "garbage",
    [b"", b"[]", b'{"components": [1]}', b"\xff\x00{", b"[" * 5000],
    ids=["empty", "list", "wrong-types", "bytes", "deep"],
)
def test_damaged_records(settled: Stack, garbage: bytes) -> None:
    """Every record may be cut short or written over: the commands work on, and the guardian writes it again."""
    run = settled.home / "run"
    before = settled.supervisord().pid
    for name in ("stack.json", "pids.json", "restarts.json", "loaded.json", "notes.json", "guardian.json"):
        (run / name).write_bytes(garbage)
    assert settled.run("status")[0] == 0
    wait(lambda: records.load_running(settled.home) is not None, 10, "the record of the stack")
    wait(lambda: set(COMPONENTS) <= set(records.load_pids(settled.home)), 10, "the record of the processes")
    settled.process("exporter").kill()
    wait(lambda: records.load_restarts(settled.home).get("exporter") == 1, 10, "the count of restarts")
    assert settled.supervisord().pid == before


@long_test
def test_a_killed_load_test_leaves_no_target(settled: Stack) -> None:
    """Its target file is gone within seconds; that of one that runs stays."""
    targets = settled.home / "targets"
    for name, identity in (("dead", f"{os.getpid()}:1"), ("alive", identify())):
        group = {"targets": ["127.0.0.1:9"], "labels": {"service": "loadgen", PROCESS_LABEL: identity}}
        (targets / f"loadgen-{name}.json").write_text(json.dumps([group]))
    wait(lambda: [path.name for path in targets.iterdir()] == ["loadgen-alive.json"], 10, "the end of the stale target")
    (targets / "loadgen-alive.json").unlink()


@long_test
def test_a_component_that_nobody_started_is_started(settled: Stack, tmp_path: Path) -> None:
    """As a command that was killed half way, or supervisord when it has given up, leaves it."""
    conf = tmp_path / "supervisorctl.conf"
    conf.write_text(f"[supervisorctl]\nserverurl=unix://{socket_path(settled.home)}\n")
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(conf), "stop", "inbox"]
    subprocess.run(command, check=True, capture_output=True)
    wait(lambda: settled.components()["inbox"]["healthy"], 20, "the inbox")
    assert "inbox is stopped: starting it" in settled.log("guardian")


@long_test
def test_an_up_that_was_killed_half_way(tmp_path: Path) -> None:
    """The guardian starts the rest: nothing stays half-started, and the next `up` finds a stack that runs."""
    stack = Stack(tmp_path / "home")
    try:
        with stack.start("up", "--native", "--no-demo") as up:
            wait(lambda: "exporter" in records.load_pids(stack.home), 60, "the first component")
            up.kill()
        wait(stack.is_healthy, 60, "the rest of the stack")
        assert "the stack is already running" in stack.up()
    finally:
        stack.clear()


def test_dead_targets_of_others_stop_nothing(tmp_path: Path) -> None:
    """A service that is down, a load test that was killed, a job of one's own: `up` ends with 0 and names each."""
    stack = Stack(tmp_path / "home")
    assert stack.run("init", str(tmp_path / "copy"))[0] == 0
    configuration = tmp_path / "copy" / "prometheus"
    (configuration / "targets" / "mine.yml").write_text('- targets: ["127.0.0.1:9"]\n  labels: {service: gone}\n')
    job = "\n  - job_name: mine\n    static_configs: [{targets: ['127.0.0.1:10']}]\n"
    path = configuration / "prometheus.yml"
    path.write_text(path.read_text().rstrip() + job)
    (stack.home / "targets").mkdir(parents=True)
    killed = {"targets": ["127.0.0.1:11"], "labels": {"service": "loadgen"}}
    (stack.home / "targets" / "loadgen-11.json").write_text(json.dumps([killed]))
    command = [sys.executable, "-m", "perfloop", "up", "--native", "--no-demo"]
    try:
        done = subprocess.run(
            command, cwd=tmp_path / "copy", env=stack.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "warning: a target is down, and the stack runs without it: services 127.0.0.1:9: " in done.stderr
        assert "warning: a target is down, and the stack runs without it: mine 127.0.0.1:10: " in done.stderr
        assert "127.0.0.1:11" not in done.stderr
        assert list((stack.home / "targets").iterdir()) == []
        supervisord = stack.supervisord()
        supervisord.kill()
        wait(lambda: not supervisord.is_running(), 10)
        wait(lambda: _runs(stack) and records.find_lock_holder(stack.home) is None, 120, "the stack with a dead target")
    finally:
        stack.clear()


def _runs(stack: Stack) -> bool:
    try:
        return httpx.get(stack.url("prometheus", "/-/ready"), timeout=2).is_success and stack.supervisord().is_running()
    except (httpx.HTTPError, OSError, ValueError, psutil.Error):
        return False


@long_test
def test_a_resurrection_that_is_killed_is_tried_again(settled: Stack) -> None:
    """Only one is at work at a time, and it does not end with the command that it runs."""
    before = settled.supervisord()
    before.kill()

    def resumption() -> list[psutil.Process]:
        found = strays.find_strays(settled.home).items()
        return [process for process, name in found if name == strays.RESUMPTION and process.is_running()]

    wait(lambda: bool(resumption()), 20, "the command that brings it back")
    assert len(resumption()) == 1
    for process in resumption():
        process.kill()
    wait(lambda: records.find_lock_holder(settled.home) is None and settled.is_healthy(), 120, "the stack")
    assert settled.supervisord() != before


@long_test
def test_down_during_a_resurrection(stack: Stack) -> None:
    """Whoever asks for the end gets it, at once and for good."""
    if not stack.is_healthy():
        wait(stack.is_healthy, 120)
    stack.supervisord().kill()
    wait(lambda: bool(records.find_lock_holder(stack.home)), 20, "the command that brings it back")
    code, _, err = stack.run("down")
    assert (code, err) == (0, "the stack is stopped\n")
    time.sleep(3)
    assert strays.find_strays(stack.home) == {}
    stack.up()


@long_test
@pytest.mark.parametrize(
    ("component", "damage"),
    [
        ("prometheus", "prometheus/chunks_head/000009"),
        ("alertmanager", "alertmanager/nflog"),
        ("alertmanager", "alertmanager/silences"),
    ],
)
def test_data_that_a_component_cannot_read(settled: Stack, component: str, damage: str) -> None:
    """It is moved aside and begun with new data; log, status and an alert say so; no loop of restarts."""
    path = settled.home / damage
    settled.run("down")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(range(256)) * 20)
    settled.up()
    note = f"{component}: its "
    assert any(note in one and "could not be read, was moved to" in one for one in settled.status()["notes"])
    assert "could not be read, was moved to" in settled.log(component)
    assert list(settled.home.rglob("*.corrupt-*")) != []
    assert records.load_restarts(settled.home)[component] < 4
    wait(lambda: bool(settled.messages(alertname="StateSetAside")), 60, "the alert about it")


@long_test
def test_data_that_is_removed_while_it_is_used(settled: Stack) -> None:
    """Prometheus would go on without storing anything: it is started again within seconds, and scrapes."""
    before = settled.process("prometheus")
    subprocess.run(["rm", "-rf", *map(str, (settled.home / "prometheus").iterdir())], check=True)
    wait(lambda: not before.is_running(), 15, "its end")
    query = {"query": 'up{job="node"} == 1'}

    def scrapes() -> bool:
        try:
            answer = httpx.get(settled.url("prometheus", "/api/v1/query"), params=query, timeout=2).json()
            return bool(answer["data"]["result"])
        except (httpx.HTTPError, ValueError, KeyError):
            return False

    wait(scrapes, 40, "the first scrape")
    assert any("its data was removed while it ran" in note for note in settled.status()["notes"])


@long_test
def test_a_configuration_in_use_that_is_overwritten(settled: Stack) -> None:
    """What supervisord and Prometheus read is written again from its sources before the stack comes back."""
    for name in ("supervisord.conf", "prometheus/prometheus.yml"):
        (settled.home / "etc" / name).write_text("garbage: [")
    before = settled.supervisord()
    before.kill()
    wait(lambda: records.find_lock_holder(settled.home) is None and settled.is_healthy(), 120, "the stack")
    assert settled.supervisord() != before


@long_test
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_that_hangs(settled: Stack, component: str) -> None:
    """`status` ends with 7 at once; within 45 seconds it is another process; count, log and an alert say why."""
    before, restarts = settled.process(component), records.load_restarts(settled.home).get(component, 0)
    before.suspend()
    begin = time.monotonic()
    assert settled.run("status")[0] == 7
    assert settled.run("doctor")[0] == 1
    wait(lambda: not before.is_running(), HANG_SECONDS, "its end")
    wait(lambda: settled.components()[component]["healthy"], HANG_SECONDS, "its answer")
    assert time.monotonic() - begin < HANG_SECONDS
    assert records.load_restarts(settled.home)[component] == restarts + 1
    assert "it did not answer 10 times in a row, for 30 s" in settled.log(component)
    if component != "inbox":
        wait(lambda: bool(_find_alerts(settled, component, "firing")), 60, "the alert")
        wait(lambda: bool(_find_alerts(settled, component, "resolved")), 150, "its end")


def _find_alerts(stack: Stack, component: str, status: str) -> list[dict[str, object]]:
    messages = stack.messages(alertname="ComponentUnresponsive", status=status)
    return [message for message in messages if component in str(message["text"])]


@long_test
def test_supervisord_hangs(settled: Stack) -> None:
    """The guardian ends it and brings the stack back; no command waits for it for ever."""
    before = settled.supervisord()
    before.suspend()
    begin = time.monotonic()
    assert settled.run("status")[0] == 7
    assert time.monotonic() - begin < 30
    wait(lambda: not before.is_running(), 60, "its end")
    wait(lambda: records.find_lock_holder(settled.home) is None and settled.is_healthy(), 120, "the stack")


@long_test
def test_down_with_a_supervisord_that_hangs(settled: Stack) -> None:
    """`down` stops everything all the same, and what does not take SIGTERM too."""
    settled.supervisord().suspend()
    settled.process("exporter").suspend()
    assert settled.run("down")[0] == 0
    assert strays.find_strays(settled.home) == {}
    settled.up()


@long_test
def test_the_guardian_hangs(settled: Stack) -> None:
    """Its watcher ends it, and supervisord starts it again."""
    before = settled.process("guardian")
    before.send_signal(signal.SIGSTOP)
    wait(lambda: not before.is_running(), 60, "its end")
    wait(lambda: settled.process("guardian") != before and settled.is_healthy(), 30, "the next guardian")


@long_test
def test_a_taken_port_does_not_keep_the_rest_down(settled: Stack) -> None:
    """Somebody takes a component's port while the stack is being brought back: the others run, and it follows later."""
    holder = (
        "import socket,sys,time; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "while True:\n  try: s.bind(('127.0.0.1', int(sys.argv[1]))); break\n  except OSError: time.sleep(0.001)\n"
        "s.listen(); print('taken', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", holder, str(settled.ports["inbox"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            settled.supervisord().kill()
            settled.process("inbox").kill()
            wait(lambda: _runs(settled) and records.find_lock_holder(settled.home) is None, 200, "the others")
            rows = settled.components()
            assert [name for name in COMPONENTS if not rows[name]["healthy"]] == ["inbox"]
        finally:
            process.kill()
    wait(settled.is_healthy, 120, "the inbox")
