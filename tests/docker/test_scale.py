"""docker-compose.scale.yml: what must be true of the file, and the whole of it on an engine, samples counted."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from perfloop.stack.compose_files import SCALE_FILE
from perfloop.stack.docker import SCALE_COMPONENTS, DockerStack
from perfloop.stack.settings import read_settings
from perfloop_base.errors import ExitCode
from tests.docker import standins
from tests.docker.running import Running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = "/select/0/prometheus"
STORE = ("vminsert", "vmselect", "vmstorage")


def _load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def added(checkout: Path) -> dict[str, dict[str, Any]]:
    """The services that the file adds: those that run on their own, not what it changes of others."""
    services = _load(checkout / SCALE_FILE)["services"]
    return {name: one for name, one in services.items() if "image" in one}


def test_the_stack_knows_what_the_file_adds(added: dict[str, dict[str, Any]]):
    """Each part is a row of `perfloop status`."""
    assert set(added) == set(SCALE_COMPONENTS)


@pytest.mark.parametrize(
    "rule",
    [
        "read_only",
        "cap_drop",
        "security_opt",
        "mem_limit",
        "memswap_limit",
        "pids_limit",
        "user",
        "healthcheck",
        "logging",
    ],
)
def test_every_added_service_is_hardened(added: dict[str, dict[str, Any]], rule: str):
    """No service lacks a wall, and none is root."""
    assert [name for name, service in added.items() if not service.get(rule)] == []
    assert {service["user"] for service in added.values()} == {"65534:65534"}


def test_every_image_has_a_tag_and_can_be_replaced(checkout: Path, added: dict[str, dict[str, Any]]):
    """The cluster's parts are of one release; the second Prometheus is the first's image."""
    releases = set()
    for name in STORE:
        variable, image, tag = re.fullmatch(r"\$\{(\w+):-([\w/]+):(v[\d.]+-cluster)\}", added[name]["image"]).groups()  # type: ignore[union-attr]
        assert (variable, image) == (f"PERFLOOP_{name.upper()}_IMAGE", f"victoriametrics/{name}")
        releases.add(tag)
    assert len(releases) == 1
    assert added["prometheus_2"]["image"] == _load(checkout / "docker-compose.yml")["services"]["prometheus"]["image"]


def test_ports_are_local_and_nothing_else_is_published(added: dict[str, dict[str, Any]]):
    """What can be read is on this machine alone; nothing outside of the network can write or reach the storage."""
    published = {name: service["ports"] for name, service in added.items() if "ports" in service}
    assert published == {
        "prometheus_2": ["127.0.0.1:${PERFLOOP_PROMETHEUS_2_PORT:-9091}:9090"],
        "vmselect": ["127.0.0.1:${PERFLOOP_VICTORIAMETRICS_PORT:-8428}:8481"],
    }


def test_what_the_two_files_share_is_the_same(checkout: Path):
    """An anchor does not reach from file to file: the health check is written twice, and is one."""
    both = [_load(checkout / name) for name in ("docker-compose.yml", SCALE_FILE)]
    assert both[0]["x-watch"] == both[1]["x-watch"]
    assert both[0]["x-check"] == both[1]["x-check"]
    plain, scaled = both[0]["x-hardened"], both[1]["x-hardened"]
    assert {key: scaled[key] for key in plain} == plain


def test_nothing_starts_before_what_it_needs(checkout: Path):
    """Both Prometheus wait for the way into the store, analyzer and Grafana for the way out."""
    services = _load(checkout / SCALE_FILE)["services"]
    for name, needed in (
        *(("vminsert", "vmstorage"), ("vmselect", "vmstorage"), ("analyzer", "vmselect"), ("grafana", "vmselect")),
        *(("prometheus", "vminsert"), ("prometheus_2", "vminsert")),
    ):
        assert services[name]["depends_on"][needed] == {"condition": "service_healthy"}, name


@pytest.fixture(scope="module")
def scaled(
    images: dict[str, str], clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, DockerStack]]:
    """The scale file on the engine."""
    cluster = standins.ensure_cluster() if images else {}
    running = Running(clone, images | cluster, tmp_path_factory.mktemp("scale"))
    running.env["PERFLOOP_SCALE"] = "1"
    docker = DockerStack(read_settings(clone, running.env), running.env)
    try:
        running.compose("build", "init")
        docker.up(demo=False, timeout=300)
        yield running, docker
    finally:
        docker.down(volumes=True)


def _ask(running: Running, expression: str, at: float | None = None) -> list[dict[str, Any]]:
    """Return the result of an instant query of the long-term store."""
    data = {"query": expression, "nocache": "1"} | ({} if at is None else {"time": f"{at:.3f}"})
    answer = httpx.post(running.url("victoriametrics", f"{READ}/api/v1/query"), data=data, timeout=20)
    return list(answer.raise_for_status().json()["data"]["result"])


def _moments(url: str, start: float, end: float) -> list[float]:
    """Return when a Prometheus API has a sample of one series that both Prometheus scrape."""
    query = f'up{{job="node"}}[{round(end - start)}s]'
    answer = httpx.post(f"{url}/api/v1/query", data={"query": query, "time": f"{end:.3f}"}, timeout=20)
    found = answer.raise_for_status().json()["data"]["result"]
    return [float(at) for series in found for at, _ in series["values"]]


def _intervals(moments: list[float]) -> list[int]:
    return [-(-round(at * 1000) // 5000) for at in moments]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("docker")
class TestRunning:
    """On the engine."""

    def test_every_part_is_a_healthy_row(self, scaled: tuple[Running, DockerStack]):
        """By `perfloop status`, with an address where one is published; `doctor` says how old the newest sample is."""
        running, docker = scaled
        rows = {row.name: row for row in docker.status()}
        assert set(SCALE_COMPONENTS) <= set(rows)
        assert [name for name, row in rows.items() if not row.healthy] == []
        assert rows["vmselect"].url == running.url("victoriametrics")
        said = wait_for(lambda: _doctor(running, "every sample is delivered"), "doctor's word on remote write", 90)
        assert said

    def test_two_write_and_one_sample_is_kept(self, scaled: tuple[Running, DockerStack]):
        """Both Prometheus send; the store has one sample of each interval, and no label that is only of one."""
        running, _ = scaled
        wait_for(
            lambda: len(_ask(running, "count_over_time(up{job='node'}[1m]) >= 10")) == 1, "a minute of samples", 120
        )
        end = time.time() - 10
        found = _intervals(_moments(running.url("victoriametrics", READ), end - 50, end))
        assert len(found) == len(set(found)), "an interval has two samples"
        assert _ask(running, 'count({replica!=""})') == []
        for name in ("prometheus", "prometheus_2"):
            sent = running.get(name, "/api/v1/query", query="prometheus_remote_storage_samples_total > 100")
            assert sent["data"]["result"], name

    def test_the_analyzer_reads_from_the_store(self, scaled: tuple[Running, DockerStack]):
        """Its one address is the store's, which counts its questions; it is ready, so they were answered."""
        running, _ = scaled
        env = running.container("analyzer")["Config"]["Env"]
        assert httpx.get(running.url("analyzer", "/-/ready"), timeout=10).status_code == 200
        assert f"PERFLOOP_READ_URL=http://vmselect:8481{READ}" in env
        asked = "vm_http_requests_total{path=~'.*query_range'}"
        wait_for(lambda: any(float(one["value"][1]) > 0 for one in running.query(f"sum({asked})")), "its questions", 90)

    def test_no_gap_after_an_outage(self, scaled: tuple[Running, DockerStack]):
        """The way into the store is stopped for half a minute: what both scraped meanwhile is there afterwards."""
        running, _ = scaled
        wait_for(lambda: _ask(running, "up{job='node'}"), "the first samples", 60)
        begun = time.time()
        way_in = running.container("vminsert")["Id"]
        assert running.engine.run("docker", "stop", way_in, timeout=60).returncode == 0
        time.sleep(30)
        assert running.engine.run("docker", "start", way_in, timeout=60).returncode == 0
        back = time.time()
        source, store = running.url("prometheus"), running.url("victoriametrics", READ)

        def lacking() -> set[int]:
            return set(_intervals(_moments(source, begun, back))) - set(_intervals(_moments(store, begun, back)))

        wait_for(lambda: not lacking(), "every interval of the outage", 120)
        assert len(_intervals(_moments(source, begun, back))) >= 6
        refused = running.query("sum(prometheus_remote_storage_samples_failed_total)")
        assert [one["value"][1] for one in refused] == ["0"]

    def test_the_commands_know_the_parts_without_the_flag(self, scaled: tuple[Running, DockerStack]):
        """`up` keeps what runs, without a restart; `logs` and `status` name each part; `down` leaves none."""
        running, docker = scaled
        before = {name: running.container(name)["Id"] for name in SCALE_COMPONENTS}
        del running.env["PERFLOOP_SCALE"]
        done = running.command("up", "--docker", "--no-demo")
        assert done.returncode == ExitCode.OK, done.stderr
        assert running.url("victoriametrics") in done.stdout
        assert {name: running.container(name)["Id"] for name in SCALE_COMPONENTS} == before
        assert running.command("logs", "vmselect", "-n", "1").returncode == ExitCode.OK
        shown = running.command("status").stdout
        assert [name for name in SCALE_COMPONENTS if name not in shown] == []
        assert running.command("down").returncode == ExitCode.OK
        assert running.engine.containers() == []
        docker.down(volumes=True)


def _doctor(running: Running, words: str) -> bool:
    done = running.command("doctor")
    assert done.returncode in {ExitCode.OK, ExitCode.FAILED}, done.stderr
    return words in done.stdout
