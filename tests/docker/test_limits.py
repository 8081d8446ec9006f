"""No container's limit is below what its own program takes: each limit is derived from the program's, not repeated."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop.stack import docker_init
from perfloop_analyzer.prometheus_api import client
from perfloop_base.web.limits import Limits
from perfloop_exporter.web.pool import MOST_THREADS
from perfloop_exporter.web.server import LIMITS
from perfloop_inbox.messages import Mailbox

if TYPE_CHECKING:
    from tests.docker.running import Running

PROGRAM_BYTES = 200 * 2**20  # numpy, scipy and the web framework
UNITS = {"k": 2**10, "m": 2**20, "g": 2**30}
# Beside the program: Docker's init, and a health check with its shell, its question, that one's time limit and reader,
# and runc, which has five threads while it starts the check.
ALONGSIDE = 1 + 4 + 6
# anyio's default, in which FastAPI and Starlette run what is not async; and the loop, and asyncio's own executor, which
# takes at most 32.
THREADS_OF_A_WEB_PROGRAM = 40 + 1 + 32
GO_THREADS = 2 + 60  # GOMAXPROCS, and as many as wait for the disk at once
NEEDED = {
    "exporter": 1 + MOST_THREADS,
    "inbox": THREADS_OF_A_WEB_PROGRAM + 3,  # SMTP, the store, the reconciliation
    "analyzer": THREADS_OF_A_WEB_PROGRAM,
    "loadgen": THREADS_OF_A_WEB_PROGRAM + 2,  # workers of the run
    "demo": THREADS_OF_A_WEB_PROGRAM + 10,  # the CPU fault's
    "postgres": 100 + 10,  # max_connections, and its own
    "redis": 8,
    "prometheus": GO_THREADS,
    "alertmanager": GO_THREADS,
    "alertmanager_2": GO_THREADS,
    "tempo": GO_THREADS,
    "grafana": GO_THREADS + 20,  # its plugins
    **dict.fromkeys(("prometheus_2", "vminsert", "vmselect", "vmstorage"), GO_THREADS),
}


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)([kmg]?)b?", text)
    assert found is not None, text
    return int(found[1]) * UNITS.get(found[2], 1)


@pytest.fixture(scope="module")
def services(checkout: Path) -> dict[str, dict[str, Any]]:
    """Every service that stays."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("docker-compose.yml", "docker-compose.ha.yml", "docker-compose.scale.yml"):
        document = yaml.safe_load((checkout / name).read_text(encoding="utf-8"))
        found |= {key: one for key, one in document["services"].items() if one.get("restart") == "always"}
    return found


def _tmpfs(service: dict[str, Any]) -> int:
    return sum(_bytes(re.search(r"size=(\w+)", mount)[1]) for mount in service["tmpfs"])  # type: ignore[index]


def test_every_program_may_have_the_threads_it_starts(services: dict[str, dict[str, Any]]):
    """Processes: the program's most, and a health check beside it, twice over."""
    assert services.keys() == NEEDED.keys()
    short = {
        name: (service["pids_limit"], needed)
        for name, service in services.items()
        if service["pids_limit"] < (needed := NEEDED[name] + ALONGSIDE)
    }
    assert short == {}
    assert 2 * (NEEDED["exporter"] + ALONGSIDE) < services["exporter"]["pids_limit"]


def test_no_program_starts_a_thread_for_each_processor_of_the_host(checkout: Path, services: dict[str, dict[str, Any]]):
    """Go and numpy would, and the limit of processes does not grow with the host."""
    dockerfile = (checkout / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1$", dockerfile, re.MULTILINE)
    store = ("prometheus_2", "vminsert", "vmselect", "vmstorage")
    for name in ("prometheus", "alertmanager", "alertmanager_2", "grafana", *store):
        assert services[name]["environment"]["GOMAXPROCS"] == "2", name


def test_memory_holds_what_a_program_keeps(services: dict[str, dict[str, Any]]):
    """Half of the memory is enough for what is bounded in bytes: /tmp, responses not yet taken, messages, the cache."""
    memory = {name: _bytes(service["mem_limit"]) for name, service in services.items()}
    assert {name for name, service in services.items() if service["memswap_limit"] != service["mem_limit"]} == set()
    assert {name for name in services if memory[name] < 2 * _tmpfs(services[name])} == set()
    assert memory["exporter"] >= 4 * LIMITS.unsent_bytes
    for name in ("inbox", "analyzer", "loadgen", "demo"):
        assert memory[name] >= 2 * Limits().unsent_bytes, name
    # A message is kept as text and as what it was parsed from, beside its bytes in the store.
    assert memory["inbox"] >= 4 * Mailbox()._max_bytes
    cache = re.search(r"^maxmemory (\w+)$", docker_init._REDIS, re.MULTILINE)
    assert cache is not None
    assert memory["redis"] >= 2 * _bytes(cache[1])
    assert 'save ""' in docker_init._REDIS, "a save to the disk would copy the whole cache"


def test_the_analyzer_can_decode_the_largest_response(services: dict[str, dict[str, Any]]):
    """Ten times its size, as its reader says, beside what the program itself takes."""
    flag = next(word for word in services["analyzer"]["command"] if word.startswith("--query.max-samples="))
    samples = int(flag.partition("=")[2])
    response = min(client.MOST_BYTES, client.SMALL_BYTES + client.BYTES_PER_SAMPLE * samples)
    assert _bytes(services["analyzer"]["mem_limit"]) >= 10 * response + PROGRAM_BYTES


def test_every_log_has_an_end(services: dict[str, dict[str, Any]]):
    """At most 30 MiB of log for each container."""
    for name, service in services.items():
        options = service["logging"]["options"]
        assert _bytes(options["max-size"]) * int(options["max-file"]) <= 30 * 2**20, name


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.xdist_group("docker")
class TestRunning:
    """On the engine, under load."""

    def test_what_runs_takes_no_more_than_was_derived(self, stack: Running):
        """Threads of every container as the kernel counts them, with health checks among them."""
        stack.wait_healthy()
        for name, needed in NEEDED.items():
            if name in {"alertmanager_2", "grafana", "prometheus_2"} or name.startswith("vm"):
                continue
            pids = stack.engine.run("docker", "top", stack.container(name)["Id"], "-eo", "pid").stdout.split()[1:]
            threads = sum(
                len(list(Path(f"/proc/{pid}/task").glob("*"))) for pid in pids if Path(f"/proc/{pid}").exists()
            )
            assert 1 < threads <= needed + ALONGSIDE, name

    def test_a_container_may_open_what_it_serves(self, stack: Running):
        """Descriptors are the engine's, which may not be able to give more: a server takes half of what it has."""
        for name in ("exporter", "inbox", "analyzer", "prometheus"):
            limits = Path(f"/proc/{stack.container(name)['State']['Pid']}/limits").read_text(encoding="utf-8")
            soft = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
            assert soft is not None
            assert int(soft[1]) >= 2 * max(Limits().connections, LIMITS.connections)

    def test_a_thousand_slow_clients_do_not_silence_the_exporter(self, stack: Running):
        """Each sends half a head and waits: in its container, within its limits, every scrape of Prometheus is good."""
        stack.wait_healthy()
        address = ("127.0.0.1", stack.ports["exporter"])
        begun = time.time()
        with contextlib.ExitStack() as clients:
            for _ in range(1000):
                client = clients.enter_context(socket.create_connection(address, timeout=5))
                with contextlib.suppress(OSError):  # one that waited for longest was closed
                    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            time.sleep(20)
        found = stack.query(f'min_over_time(up{{job="node"}}[{time.time() - begun:.0f}s])')
        assert [sample["value"][1] for sample in found] == ["1"]
