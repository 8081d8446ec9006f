"""The stack as Compose runs it: healthy, watched, walled in, and back after a kill."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from perfloop.stack.docker import COMPONENTS, SECOND
from perfloop.stack.errors import DockerError
from tests.docker.running import IMAGE, Running
from tests.support.live_stack import LiveStack, assert_loop_closes
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.xdist_group("docker")]


def _present(stack: Running) -> list[str]:
    left_out = {SECOND} | ({"grafana"} if stack.env.get("PERFLOOP_GRAFANA_SCALE") == "0" else set())
    return [name for name in COMPONENTS if name not in left_out]


def _targets(stack: Running) -> dict[str, str]:
    found = stack.get("prometheus", "/api/v1/targets")["data"]["activeTargets"]
    return {target["labels"]["job"]: target["health"] for target in found}


def test_every_part_is_there_and_healthy(stack: Running):
    """`perfloop status` has a healthy row for every component, and an address for every component with a page."""
    rows = {row.name: row for row in stack.docker.status()}
    assert sorted(rows) == sorted(_present(stack))
    assert all(row.healthy and row.state == "running" and row.since for row in rows.values()), rows
    assert [name for name, row in rows.items() if not row.url] == ["postgres", "redis"]


def test_every_target_is_up_in_prometheus(stack: Running):
    """Prometheus reaches every component by its Compose name."""
    present = set(_present(stack)) - {"postgres", "redis", "exporter"} | {"node"}
    wait_for(
        lambda: {job for job, health in _targets(stack).items() if health == "up"} >= present, "every target up", 30
    )


@pytest.mark.timeout(600)
def test_the_loop_closes(stack: Running):
    """Slow queries: alert, Slack, e-mail, PagerDuty, lower score, recommendation; healed: the all-clear."""
    assert_loop_closes(LiveStack(stack.url("demo"), stack.url("inbox"), stack.url("prometheus")))


def test_a_file_in_targets_is_picked_up_without_a_restart(stack: Running):
    """A new file in prometheus/targets brings a new target, and its absence takes it away again."""
    file = stack.clone / "prometheus" / "targets" / "mine.yml"
    file.write_text("- targets: [demo:8000]\n  labels: {service: mine}\n", encoding="utf-8")
    try:
        wait_for(lambda: stack.query('up{job="services",service="mine"} == 1'), "the new target", 30)
    finally:
        file.unlink()
    wait_for(lambda: "services" not in _targets(stack), "the end of the target", 30)


def test_the_exporter_sees_the_host(stack: Running):
    """Memory, boot time and network devices are the host's, not the container's."""
    samples = stack.query('node_memory_MemTotal_bytes{job="node"}')
    total = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"))
    assert total is not None
    assert float(samples[0]["value"][1]) == int(total[1]) * 1024
    host = {path.name for path in Path("/sys/class/net").iterdir()}
    seen = {sample["metric"]["device"] for sample in stack.query("node_network_receive_bytes_total")}
    steady = {device for device in seen if not device.startswith(("veth", "br-"))}  # containers come and go
    assert steady <= host
    assert len(seen - {"lo"}) > 1, "the container itself has eth0 alone"


def test_every_published_port_is_on_the_loopback_address(stack: Running):
    """No component listens on an address that another machine could reach."""
    bindings = [
        binding
        for container in stack.engine.containers()
        for ports in container["NetworkSettings"]["Ports"].values()
        for binding in ports or []
    ]
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def _walls(container: dict[str, Any]) -> dict[str, Any]:
    host = container["HostConfig"]
    return {
        "not root": container["Config"]["User"].split(":")[0] not in ("", "0", "root"),
        "read-only": host["ReadonlyRootfs"],
        "capabilities": (host["CapDrop"], host["CapAdd"] or []) == (["ALL"], []),
        "no new privileges": "no-new-privileges:true" in host["SecurityOpt"],
        "not privileged": not host["Privileged"],
        "no host namespace": "host" not in (host["PidMode"], host["NetworkMode"], host["IpcMode"]),
        "memory": 0 < host["Memory"] <= 2**30 and host["MemorySwap"] == host["Memory"],
        "processes": 0 < host["PidsLimit"] <= 200,
        "restart": host["RestartPolicy"]["Name"] == "always",
        "init": host["Init"] is True,
        "health": bool(container["Config"].get("Healthcheck")),
        "bounded log": host["LogConfig"]["Config"].get("max-size") == "10m",
        "no socket": not any("docker.sock" in mount.get("Source", "") for mount in container["Mounts"]),
    }


def test_every_part_is_walled_in(stack: Running):
    """Every container runs without root, capabilities, a writable system, or more than its share."""
    open_walls = {
        name: [wall for wall, stands in _walls(stack.container(name)).items() if not stands] for name in _present(stack)
    }
    assert {name: walls for name, walls in open_walls.items() if walls} == {}


def test_the_kernel_agrees_that_the_parts_have_no_power(stack: Running):
    """The first process of every component has no effective capability and can gain none."""
    for name in _present(stack):
        pid = stack.container(name)["State"]["Pid"]
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        found = dict(re.findall(r"^(CapEff|CapBnd|NoNewPrivs):\s+(\w+)$", status, re.MULTILINE))
        assert found == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}, name


def test_no_password_shows_in_what_the_engine_shows(stack: Running):
    """The passwords are random, lie in volumes alone, and in no container's environment or command."""
    password = stack.compose("exec", "-T", "demo", "cat", "/run/perfloop/password").strip()
    assert len(password) >= 24
    output = subprocess.run(
        ["docker", "inspect", *(container["Id"] for container in stack.engine.containers())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert password not in output


def test_the_exporter_cannot_look_into_the_others(stack: Running):
    """Through the host's /proc it can read the environment of its own processes, and of nobody else's."""
    script = (
        "import os, pathlib\n"
        "def readable(process):\n"
        "    try: return bool((process / 'environ').read_bytes())\n"
        "    except OSError: return False\n"
        "processes = [pathlib.Path('/host/proc', pid) for pid in os.listdir('/host/proc') if pid.isdigit()]\n"
        "print(*{process.stat().st_uid for process in processes if readable(process)})\n"
    )
    assert set(stack.compose("exec", "-T", "exporter", "python3", "-c", script).split()) == {"10002"}


def test_a_change_at_the_analyzer_needs_the_token(stack: Running):
    """Without the random token a recommendation cannot be accepted; with it, only the unknown id is refused."""
    address = stack.url("analyzer", "/api/v1/recommendations/none/accept")
    assert httpx.post(address, timeout=5).status_code in (401, 403)
    token = stack.compose("exec", "-T", "analyzer", "cat", "/run/perfloop/token").strip()
    answer = httpx.post(address, headers={"Authorization": f"Bearer {token}"}, timeout=5)
    assert answer.status_code == 404


def test_a_database_password_is_needed(stack: Running):
    """From the demo's container, PostgreSQL and Redis refuse whoever has no password."""
    script = (
        "import psycopg, redis\n"
        "try: psycopg.connect('postgresql://perfloop:wrong@postgres/perfloop')\n"
        "except psycopg.OperationalError as e: print('postgres:', 'password authentication failed' in str(e))\n"
        "try: redis.Redis('redis').ping()\n"
        "except redis.AuthenticationError: print('redis: True')\n"
    )
    assert stack.compose("exec", "-T", "demo", "python3", "-c", script).split("\n")[:2] == [
        "postgres: True",
        "redis: True",
    ]


def test_the_database_is_out_of_everybody_elses_reach(stack: Running):
    """The exporter's container cannot even resolve the database's name."""
    script = "import socket\ntry: socket.getaddrinfo('postgres', 5432)\nexcept OSError: print('unknown')"
    assert stack.compose("exec", "-T", "exporter", "python3", "-c", script).strip() == "unknown"


def test_a_second_up_changes_nothing(stack: Running):
    """Bringing up what is up leaves every container and every password as it is."""
    before = {c["Id"]: c["State"]["StartedAt"] for c in map(stack.container, _present(stack))}
    password = stack.compose("exec", "-T", "demo", "cat", "/run/perfloop/password")
    rows = stack.docker.up()
    assert {c["Id"]: c["State"]["StartedAt"] for c in map(stack.container, _present(stack))} == before
    assert all(row.healthy for row in rows)
    assert stack.compose("exec", "-T", "demo", "cat", "/run/perfloop/password") == password


def _pid(container: dict[str, Any]) -> int:
    return int(container["State"]["Pid"])


def test_killed_components_are_back_within_five_seconds(stack: Running):
    """Every component's first process is killed: each runs again, `status` counts it, and all become healthy."""
    stack.wait_healthy()
    before = {name: stack.container(name) for name in _present(stack)}
    kill = "kill -9 " + " ".join(str(_pid(container)) for container in before.values())
    command = ["docker", "run", "--rm", "--pid=host", "--user=0:0", "--network=none", IMAGE, "bash", "-c", kill]
    subprocess.run(command, check=True, capture_output=True)
    gone = {0, *map(_pid, before.values())}
    wait_for(
        lambda: gone.isdisjoint(_pid(stack.container(name)) for name in before), "the return of every component", 5
    )
    restarts = {row.name: row.restarts for row in stack.docker.status()}
    expected = {name: container["RestartCount"] + 1 for name, container in before.items()}
    assert {name: restarts[name] >= least for name, least in expected.items()} == dict.fromkeys(expected, True)
    stack.wait_healthy()


def test_each_of_our_programs_answers_like_the_others(stack: Running):
    """Every program has /metrics, /-/healthy, /-/ready and a page."""
    for name in ("exporter", "analyzer", "loadgen", "inbox", "demo"):
        for path in ("/metrics", "/-/healthy", "/-/ready", "/"):
            assert httpx.get(stack.url(name, path), timeout=5).status_code == 200, f"{name}{path}"


def test_logs_of_an_unknown_component_name_the_known_ones(stack: Running):
    """A wrong name is answered with the names there are."""
    with pytest.raises(DockerError, match=r"unknown component 'nginx': this stack has alertmanager, analyzer"):
        stack.docker.logs("nginx")
