"""An oversized container, with a real Prometheus: found, reduced, and validated or refuted.

The past of days is written by hand. What the last test reduces is the real limit of a real control group.
"""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.reporters.metrics import result_families
from perfloop_analyzer.store import Database
from perfloop_analyzer.waste_watch import WasteWatch
from tests.support.cgroups import Group, control_group
from tests.support.free_ports import find_free_ports
from tests.support.history import serve_history, write_history
from tests.support.servers import running
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfloop_analyzer.recommend import Recommendation

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
MIB = 2.0**20
END = 1_700_000_000.0
CHANGED = END - 3 * HOUR
EARLY = CHANGED - 30 * MINUTE  # when the waste is looked for
TIMES = np.arange(END - 2 * DAY, END + 1, MINUTE)


def _noise(moment: float, seed: int) -> float:
    return float(np.random.default_rng(int(moment) * 7 + seed).standard_normal())


def _container(name: str, metric: str, *more: str) -> str:
    labels = ",".join(('service="host"', f'id="/docker/{name}"', f'name="{name}"', *more))
    return f"{metric}{{{labels}}}"


def _request(name: str, metric: str, *more: str) -> str:
    labels = ",".join((f'service="{name}"', 'http_route="/"', 'http_response_status_code="200"', *more))
    return f"{metric}{{{labels}}}"


def _answered(limit: float, slower: float) -> Callable[[float], float | None]:
    """How many requests were answered within a limit in seconds; their mean is 50 ms, slower from the change on."""
    means = np.where(TIMES >= CHANGED, slower, 1.0) * 0.05
    noise = np.random.default_rng(round(1000 * min(limit, 9.0))).standard_normal(len(TIMES))
    counts = np.cumsum(600.0 * (1.0 - np.exp(-limit / means)) * (1.0 + 0.01 * noise))
    return dict(zip(TIMES.tolist(), counts.tolist(), strict=True)).get


def _service(name: str, slower: float) -> dict[str, Callable[[float], float | None]]:
    """A container of 2 GiB that uses a tenth of it; from the change on its limit is 400 MiB, and its answers slower."""
    duration = "http_server_request_duration_seconds"
    series = {
        _request(name, f"{duration}_bucket", f'le="{limit:g}"'): _answered(limit, slower)
        for limit in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
    }
    series[_request(name, f"{duration}_bucket", 'le="+Inf"')] = _answered(math.inf, slower)
    series[_request(name, f"{duration}_count")] = _answered(math.inf, slower)
    series[_container(name, "container_memory_working_set_bytes")] = lambda moment: (200 + 5 * _noise(moment, 1)) * MIB
    series[_container(name, "container_spec_memory_limit_bytes")] = lambda moment: (
        (2048 if moment < CHANGED else 400) * MIB
    )
    return series


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str, promtool: str) -> Iterator[str]:
    """Two days of two containers whose limits were reduced; the answers of one became slower with it."""
    text = write_history({**_service("shop", 1.0), **_service("mail", 1.5)}, TIMES.tolist())
    with serve_history(prometheus_binary, promtool, tmp_path_factory.mktemp("waste"), text) as client:
        yield str(client.base_url)


@contextmanager
def _database(path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{path / 'analyzer.db'}")
    try:
        yield database
    finally:
        database.close()


def _of(database: Database, rule: str = "waste_container_memory") -> dict[str, Recommendation]:
    return {one.service: one for one in database.recommendations() if one.rule == rule}


async def test_a_past_of_waste_is_found_and_what_was_reduced_is_judged(past: str, tmp_path: Path) -> None:
    """Found from two days without a finding or an incident; validated where nothing moved, refuted where p95 did."""
    config = RunConfig(source=SourceConfig(url=past), rate_window="5m", step_seconds=MINUTE)
    async with PrometheusSource(config.source) as source:
        with _database(tmp_path) as database:
            loop = Loop(config, source, database, load_knowledge(config))
            loop.ahead.waste = WasteWatch()
            result = await loop.cycle(EARLY)
            assert result is not None
            assert (result.findings, result.incidents) == ((), ())
            assert {one.service: one.score for one in result.health}["shop"] == 100.0
            found = _of(database)
            assert set(found) == {"shop", "mail"}
            assert "less than a week" in found["shop"].values["risk"]
            assert 240 * MIB < found["shop"].values["resize"]["to"] <= 400 * MIB
            published = {family.name: family for family in result_families(result)}
            ratios = {sample.labels["service"]: sample.value for sample in published["perfloop_waste_ratio"].samples}
            assert ratios["shop"] == pytest.approx(found["shop"].improvement.ratio)  # type: ignore[union-attr]
            for one in found.values():
                database.transition(one.id, "accept", EARLY + MINUTE)
                database.transition(one.id, "implement", CHANGED + MINUTE)
            await loop.cycle(CHANGED + 20 * MINUTE)
            assert {one.state for one in _of(database).values()} == {"implemented"}
            for windows in (13, 23, 33):
                await loop.cycle(CHANGED + windows * 5 * MINUTE)
            shop, mail = (_of(database)[name] for name in ("shop", "mail"))
            assert (shop.state, mail.state) == ("validated", "refuted")
            assert shop.values["measured"]["gain"] == pytest.approx(1 - 400 / 2048)
            assert "no rise of API response time, 95th percentile of shop" in shop.reason
            assert mail.reason.startswith("API response time, 95th percentile of mail went from 1")


# What follows takes minutes: a real limit of a real program.
SERVICE, OLD_BYTES, OLD_CORES = "demo", 1024 * MIB, 1.5
BEFORE_SECONDS, LONGEST_SECONDS = 120.0, 700.0
SLEEP_SECONDS = 0.4
ENTER = 'for place in $PLACES; do echo $$ > "$place" || exit 1; done; exec "$@"'


def _used(now: float) -> str:
    """The past of the container: a day and a half in which it used 0.1 cores and 200 MiB at most."""
    start = now - 1.5 * DAY
    labels = f'service="host",container="{SERVICE}",id="/before"'
    series: dict[str, Callable[[float], float | None]] = {
        f'container_cpu_usage_seconds_total{{{labels},cpu="total"}}': lambda moment: 0.1 * (moment - start),
        f"container_memory_working_set_bytes{{{labels}}}": lambda moment: 190 * MIB + 10 * MIB * math.sin(moment),
    }
    return write_history(series, np.arange(start, now - 15 * MINUTE, 5.0).tolist())


@contextmanager
def _member(group: Group, directory: Path) -> Iterator[str]:
    """Run the demo service as a member of a group and yield its URL."""
    (port,) = find_free_ports(1)
    program = [sys.executable, "-m", "perfloop_demo.service", f"--data.dir={directory / 'data'}"]
    command = ["sh", "-c", ENTER, "sh", *program, f"--web.listen-address=127.0.0.1:{port}"]
    places = " ".join(map(str, group.entries))
    url = f"http://127.0.0.1:{port}"
    with (directory / "demo.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PLACES": places})
    try:
        wait_for(lambda: _answers(f"{url}/health"), "the demo service", 60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def _load(url: str) -> Iterator[None]:
    """Ask sixteen times a second for as long as it lasts, for what takes as long as its database sleeps.

    A response time that is a wait shows what the limit does to it, whatever else this machine has to do.
    """
    # Of an empty table nothing is selected, and nothing sleeps.
    httpx.post(f"{url}/api/v1/agents", json={"name": "one", "goal": "to be listed"}).raise_for_status()
    httpx.put(f"{url}/faults", json={"slow_queries": SLEEP_SECONDS}).raise_for_status()
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            due = time.monotonic()
            while not stop.is_set():
                client.get(f"{url}/api/v1/agents")
                due += 0.5
                stop.wait(max(0.0, due - time.monotonic()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def _prometheus(binaries: tuple[str, str], directory: Path, exporter: str, service: str) -> Iterator[str]:
    """Scrape both each second, over a past that was written by hand."""
    (directory / "past.om").write_text(_used(time.time()))
    data = directory / "tsdb"
    made = [binaries[1], "tsdb", "create-blocks-from", "openmetrics", str(directory / "past.om"), str(data)]
    subprocess.run(made, check=True, capture_output=True, timeout=120)
    config = directory / "prometheus.yml"
    relabel = f"[{{source_labels: [id], regex: /perfloop-waste-.*, target_label: container, replacement: {SERVICE}}}]"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n"
        f"- job_name: node\n  metric_relabel_configs: {relabel}\n  static_configs:\n"
        f"  - {{targets: ['{exporter}'], labels: {{service: host}}}}\n"
        f"- job_name: demo\n  static_configs:\n  - {{targets: ['{service}'], labels: {{service: {SERVICE}}}}}\n"
    )
    address = f"127.0.0.1:{find_free_ports(1)[0]}"
    flags = [f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address={address}"]
    with (directory / "prometheus.log").open("w") as log:
        process = subprocess.Popen([binaries[0], *flags], stdout=log, stderr=log)
    try:
        wait_for(lambda: _answers(f"http://{address}/-/ready"), "Prometheus", 60)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def _limit_of(url: str, expr: str) -> float:
    found = httpx.get(f"{url}/api/v1/query", params={"query": expr}).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else math.nan


@pytest.mark.skipif(not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes ten minutes: set PERFLOOP_LONG_TESTS=1")
@pytest.mark.timeout(1500)
async def test_a_real_limit_is_reduced_and_validated(prometheus_binary: str, promtool: str, tmp_path: Path) -> None:
    """The exporter publishes it, the analyzer finds it, the kernel gets the new one, and nothing got slower."""
    try:
        with control_group(f"perfloop-waste-{os.getpid()}") as group:
            group.limit_memory(OLD_BYTES)
            group.limit_cores(OLD_CORES)
            await _reduce(group, (prometheus_binary, promtool), tmp_path)
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")


async def _reduce(group: Group, binaries: tuple[str, str], directory: Path) -> None:
    flags = ["--collector.cgroup", f"--collector.cgroup.include=^/{group.name}$"]
    with (
        running(directory, ["exporter"], flags) as servers,
        _member(group, directory) as demo,
        _load(demo),
        _prometheus(binaries, directory, "{}:{}".format(*servers["exporter"].address), demo.partition("//")[2]) as url,
        _database(directory) as database,
    ):
        config = RunConfig(source=SourceConfig(url=url), rate_window="10s", step_seconds=5.0)
        await asyncio.sleep(BEFORE_SECONDS)
        async with PrometheusSource(config.source) as source:
            loop = Loop(config, source, database, load_knowledge(config))
            loop.ahead.waste = WasteWatch()
            await loop.cycle(time.time())
            memory, cpu = _of(database)[SERVICE], _of(database, "waste_container_cpu")[SERVICE]
            assert memory.values["resize"]["from"] == OLD_BYTES
            assert cpu.values["resize"]["from"] == OLD_CORES
            for one, limit in ((memory, group.limit_memory), (cpu, group.limit_cores)):
                database.transition(one.id, "accept", time.time())
                limit(one.values["resize"]["to"])
                database.transition(one.id, "implement", time.time())
            new = memory.values["resize"]["to"]
            expr = f'container_spec_memory_limit_bytes{{container="{SERVICE}"}}'
            wait_for(lambda: _limit_of(url, expr) == new, "the exporter to publish the new limit", 30)
            end = time.monotonic() + LONGEST_SECONDS
            while time.monotonic() < end and "implemented" in _states(database):
                await asyncio.sleep(10)
                await loop.cycle(time.time())
    for one in (_of(database)[SERVICE], _of(database, "waste_container_cpu")[SERVICE]):
        assert one.state == "validated", one.reason
        assert "no rise of API response time" in one.reason


def _states(database: Database) -> set[str]:
    return {one.state for one in database.recommendations()}
