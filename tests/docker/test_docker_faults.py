"""The containers with what is dead, frozen, killed, wiped, full or cut off: the rest runs, and all comes back."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop.stack import docker
from perfloop.stack.docker import DockerStack
from perfloop.stack.initialization import write_copy
from perfloop.stack.settings import read_settings
from perfloop_base.errors import ExitCode
from tests.docker.running import IMAGE, Running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("docker"), pytest.mark.timeout(600)]
long = pytest.mark.skipif(
    not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes minutes: set PERFLOOP_LONG_TESTS=1 to run it"
)
OWN = ("exporter", "inbox", "alertmanager", "prometheus", "analyzer")
OUR_UID, PROMETHEUS_UID = 10001, 65534
WRITERS = {"inbox": "/data", "analyzer": "/data", "prometheus": "/prometheus", "alertmanager": "/alertmanager"}
# Volumes of a fixed size, so that a writer can be brought to its end.
SMALL = "\n".join(
    # A database that runs and answers nobody.
    ["services:", "  postgres: {entrypoint: [sleep, '3600']}", "volumes:"]
    + [
        f'  {name}: {{driver_opts: {{type: tmpfs, device: tmpfs, o: "size=48m,uid={uid},gid={uid}"}}}}'
        for name, uid in (
            ("inbox-data", OUR_UID),
            ("analyzer-data", OUR_UID),
            ("prometheus-data", PROMETHEUS_UID),
            ("alertmanager-data", PROMETHEUS_UID),
        )
    ]
)


class Faulty:
    """A stack whose demo's database never becomes healthy, with a service in targets/ that does not exist."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.said: list[str] = []
        self.docker = DockerStack(read_settings(running.clone, running.env), running.env, self.said.append)

    def states(self) -> dict[str, str]:
        """Return the state of every component, as `perfloop status` prints it."""
        return {
            part["name"]: part["state"] for part in json.loads(self.running.command("status", "--json").stdout)["parts"]
        }

    def healthy(self, name: str) -> bool:
        """Return whether a component is healthy."""
        return any(row.name == name and row.healthy for row in self.docker.status())


@pytest.fixture(scope="module")
def faulty(images: dict[str, str], stack: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """The stack that is up in spite of it, by `perfloop up --docker`'s own code; the image is that of `stack`."""
    home = tmp_path_factory.mktemp("faulty")
    write_copy(home / "clone")
    (home / "clone" / "prometheus" / "targets" / "dead.yml").write_text("- targets: [demo:1]\n")
    (home / "clone" / "small.yml").write_text(SMALL)
    running = Running(home / "clone", images, home / "home")
    running.env["COMPOSE_FILE"] = "docker-compose.yml:small.yml"
    found = Faulty(running)
    before, docker._OPTIONAL_SECONDS = docker._OPTIONAL_SECONDS, 20.0
    try:
        found.docker.up(timeout=240)
        yield found
    finally:
        docker._OPTIONAL_SECONDS = before
        running.compose("down", "--volumes", "--remove-orphans")


@long
def test_what_is_dead_is_reported_and_the_rest_runs(faulty: Faulty):
    """A demo that never becomes healthy and a dead target are a warning each; every part of the stack itself runs."""
    assert all(faulty.healthy(name) for name in OWN)
    warnings = [line for line in faulty.said if line.startswith("warning: ")]
    assert any(("postgres" in line or "demo" in line) and "The rest runs" in line for line in warnings), warnings
    wait_for(lambda: faulty.running.query('up{job="services"} == 0'), "the dead target as a target that is down", 40)


@long
def test_the_commands_say_so_by_their_exit_codes(faulty: Faulty):
    """`status` ends with 7 and `doctor` with 1 while something is not healthy; both name it."""
    done = faulty.running.command("status")
    assert done.returncode == ExitCode.UNHEALTHY, done.stderr
    assert "postgres" in done.stdout
    done = faulty.running.command("doctor")
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "FAIL postgres" in done.stdout


@long
def test_a_second_up_warns_again_and_stops_nothing(faulty: Faulty):
    """`up` on what runs already leaves every healthy container as it is."""
    before = {name: faulty.running.container(name)["Id"] for name in OWN}
    faulty.said.clear()
    faulty.docker.up(timeout=240)
    assert {name: faulty.running.container(name)["Id"] for name in OWN} == before
    assert any(line.startswith("warning: a target is down") and "demo:1" in line for line in faulty.said), faulty.said


@long
def test_a_paused_container_is_shown_and_goes_on_with_up(faulty: Faulty):
    """`docker pause` is an operator's act: `status` shows it and fails, `up` ends it."""
    pause = ("docker", "pause", faulty.running.container("inbox")["Id"])
    wait_for(lambda: faulty.running.engine.run(*pause).returncode == 0, "the engine to freeze the inbox", 60)
    assert faulty.states()["inbox"] == "paused"
    assert faulty.running.command("status").returncode == ExitCode.UNHEALTHY
    faulty.docker.up(timeout=240)
    assert faulty.healthy("inbox")


def _answers(running: Running, name: str) -> bool:
    try:
        return httpx.get(running.url(name, "/metrics"), timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def _fill(running: Running, name: str) -> None:
    running.compose("exec", "-T", name, "sh", "-c", f"cat /dev/zero >{WRITERS[name]}/full 2>/dev/null; true")


@long
def test_a_full_disk_ends_no_writer_and_is_survived(faulty: Faulty):
    """With no byte left on its volume every writer answers, is not restarted, and writes again once there is space."""
    running = faulty.running
    before = {name: running.container(name)["RestartCount"] for name in WRITERS}
    for name in WRITERS:
        _fill(running, name)
    time.sleep(20)  # two cycles of the analyzer, a scrape of each target, and the writes that follow
    for name in WRITERS:
        _fill(running, name)  # what was freed in the meantime
    time.sleep(10)
    assert {name: _answers(running, name) for name in WRITERS} == dict.fromkeys(WRITERS, True)
    for name, path in WRITERS.items():
        running.compose("exec", "-T", name, "rm", f"{path}/full")
    freed = time.time()
    assert {name: running.container(name)["RestartCount"] for name in WRITERS} == before
    wait_for(
        lambda: any(float(one["value"][1]) > freed for one in running.query('timestamp(up{job="node"})')),
        "a sample after there is space again",
        60,
    )
    wait_for(
        lambda: running.query("perfloop_state_writable == 1") and not running.query("perfloop_state_writable == 0"),
        "every state being writable again",
        60,
    )


def _program(stack: Running, name: str) -> int:
    """Return the process id, on the host, of the program below a container's PID 1."""
    pid = stack.container(name)["State"]["Pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split() if pid else []
    return int(children[0]) if children else 0


def _kill(stack: Running, name: str) -> None:
    stack.compose("exec", "-T", name, "sh", "-c", "kill -KILL $(cat /proc/1/task/1/children)")


@long
def test_a_program_killed_twice_is_back_twice(stack: Running):
    """The second kill comes as soon as the program is back: `status` counts both."""
    stack.wait_healthy()
    for name in (*OWN, "demo", "loadgen"):
        before = stack.container(name)["RestartCount"]
        for again in (1, 2):
            _kill(stack, name)
            wait_for(lambda n=name, least=before + again: stack.container(n)["RestartCount"] >= least, name, 20)
            wait_for(lambda n=name: stack.container(n)["State"]["Running"], f"{name} again", 20)
    stack.wait_healthy()


@long
def test_prometheus_with_its_data_wiped_measures_on(stack: Running):
    """Its volume is emptied under it and it is killed: it starts with nothing, scrapes, and evaluates its rules."""
    stack.wait_healthy()
    before = stack.container("prometheus")["RestartCount"]
    stack.compose("exec", "-T", "prometheus", "sh", "-c", "rm -rf /prometheus/*")
    _kill(stack, "prometheus")
    wait_for(lambda: stack.container("prometheus")["RestartCount"] > before, "the restart", 20)
    stack.wait_healthy()
    wait_for(lambda: len(stack.query("up == 1")) >= 7, "every target again", 60)
    wait_for(lambda: stack.query('{__name__=~"job:.+|service:.+|perfloop:.+|slo:.+"}'), "recorded series", 90)


@long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change a container's resolver from outside")
def test_no_names_are_resolved_for_a_while(stack: Running):
    """Prometheus and analyzer cannot resolve a name: they answer, are not restarted, and go on once they can."""
    stack.wait_healthy()
    containers = {name: stack.container(name) for name in ("prometheus", "analyzer")}
    files = {name: Path(container["ResolvConfPath"]) for name, container in containers.items()}
    good = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    try:
        for file in files.values():
            file.write_text("nameserver 127.0.0.254\noptions timeout:1 attempts:1\n", encoding="utf-8")
        _kill(stack, "exporter")  # Prometheus keeps its connection, and would need no name
        wait_for(lambda: stack.query('up{job="node"} == 0'), "targets without a name to be down", 60)
        assert all(_answers(stack, name) for name in files)
    finally:
        for name, file in files.items():
            file.write_text(good[name], encoding="utf-8")
    wait_for(lambda: stack.query('up{job="node"} == 1'), "the targets to be up again", 60)
    restarts = {name: stack.container(name)["RestartCount"] for name in containers}
    assert restarts == {name: container["RestartCount"] for name, container in containers.items()}
    stack.wait_healthy()


PROGRAMS: dict[str, list[str]] = {
    "exporter": ["perfloop_exporter", "--web.listen-address=[::1]:19100"],
    "inbox": ["perfloop_inbox", "--web.listen-address=[::1]:19100", "--smtp.listen-address=[::1]:19125"],
    "analyzer": [
        "perfloop_analyzer",
        "run",
        "--web.listen-address=[::1]:19100",
        "--prometheus.url=http://[::1]:9090",
        "--store.url=sqlite:////tmp/a.sqlite",
    ],
    "demo": ["perfloop_demo.service", "--web.listen-address=[::1]:19100", "--data.dir=/tmp/demo"],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_listens_where_there_is_only_ipv6(stack: Running, name: str):
    """In a network namespace of its own, with no IPv4 address but the loopback's, `[::1]` alone is listened on."""
    run = ["docker", "run", "--detach", "--network=none", "--sysctl=net.ipv6.conf.lo.disable_ipv6=0", IMAGE]
    started: Any = subprocess.run([*run, "python3", "-m", *PROGRAMS[name]], capture_output=True, text=True, check=True)
    container = started.stdout.strip()
    head = r"GET /-/healthy HTTP/1.1\r\nHost: [::1]\r\n\r\n"
    ask = f"exec 3<>/dev/tcp/::1/19100 && printf '{head}' >&3 && head -n1 <&3"

    def answer() -> bool:
        done = subprocess.run(
            ["docker", "exec", container, "timeout", "5", "bash", "-c", ask],
            capture_output=True,
            text=True,
            check=False,
        )
        return "200" in done.stdout

    try:
        wait_for(answer, f"{name} on [::1]", 60)
    finally:
        subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)
