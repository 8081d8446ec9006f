"""A real VictoriaMetrics cluster with the flags of docker-compose.scale.yml, where its three programs are on PATH."""

from __future__ import annotations

import re
import shutil
import signal
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from perfloop.fill.app import fill
from perfloop.fill.config import FillConfig
from tests.support.free_ports import find_free_ports
from tests.support.remote_store import (
    CHECKOUT,
    INTERVAL,
    Load,
    Pair,
    Program,
    read_metric,
    render,
    serve,
    start_prometheus,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("long-term")]
PARTS = ("vmstorage", "vminsert", "vmselect")
READ, WRITE = "/select/0/prometheus", "/insert/0/prometheus"
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
SERIES = 100


class Cluster:
    """Its three programs; where it is read and written."""

    def __init__(self, directory: Path) -> None:
        ports = find_free_ports(5)
        self._insert, self._select = (f"127.0.0.1:{port}" for port in ports[3:])
        services = yaml.safe_load((CHECKOUT / "docker-compose.scale.yml").read_text())["services"]
        self.parts = {
            name: self._program(name, services[name]["command"], port, directory)
            for name, port in zip(PARTS, ports, strict=False)
        }
        self.read, self.write = self.parts["vmselect"].url + READ, self.parts["vminsert"].url + WRITE

    def _program(self, name: str, command: list[str], port: int, directory: Path) -> Program:
        """Return a part with the file's own flags; what names a place or a time of the stack is the test's."""
        places = {
            "-httpListenAddr": f"127.0.0.1:{port}",
            "-storageDataPath": str(directory / "data"),
            "-cacheDataPath": str(directory / "cache"),
            "-storageNode": self._insert if name == "vminsert" else self._select,
            "-dedup.minScrapeInterval": INTERVAL,
            "-search.latencyOffset": "0s",
        }
        pairs = [DEFAULT.sub(r"\1", word).partition("=") for word in command]
        flags = [f"{flag}={places.get(flag, value)}" for flag, _, value in pairs]
        if name == "vmstorage":
            flags += [f"-vminsertAddr={self._insert}", f"-vmselectAddr={self._select}"]
        program = str(shutil.which(name))
        return Program([program, *flags], f"http://127.0.0.1:{port}", "/health", directory / f"{name}.log")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that runs."""
    if missing := [name for name in PARTS if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} not on PATH: put the programs of a VictoriaMetrics cluster release there")
    cluster = Cluster(tmp_path)
    try:
        for part in cluster.parts.values():
            part.start()
        yield cluster
    finally:
        for part in reversed(cluster.parts.values()):
            part.end()


@pytest.fixture
def pair(cluster: Cluster, prometheus_binary: str, tmp_path: Path) -> Iterator[Pair]:
    """Two Prometheus that write to it."""
    pair = Pair(Program([], cluster.read, "", tmp_path / "none"))
    try:
        with serve(Load(SERIES)) as target:
            for name in ("prometheus", "prometheus_2"):
                text = render(target, "http://127.0.0.1:1", name, lambda entry: entry.update(url=_remote(cluster)))
                pair.prometheus.append(start_prometheus(prometheus_binary, tmp_path, text, name))
            wait_for(lambda: pair.query(cluster.read, "load_total"), "the first samples")
            yield pair
    finally:
        for program in pair.prometheus:
            program.end()


def _remote(cluster: Cluster) -> str:
    return f"{cluster.write}/api/v1/write"


def _intervals(moments: list[float]) -> list[int]:
    return [-(-round(at * 1000) // 1000) for at in moments]


def _compare(pair: Pair, begun: float, until: float) -> tuple[int, int]:
    """Return how many intervals the store lacks, and how many samples it has too many, over all series."""
    have = pair.moments(pair.prometheus[0].url, "load_total", begun, until)
    stored = {n: _intervals(found) for n, found in pair.moments(pair.store.url, "load_total", begun, until).items()}
    assert len(have) == SERIES
    lacking = sum(len(set(_intervals(found)) - set(stored.get(n, ()))) for n, found in have.items())
    return lacking, sum(len(found) - len(set(found)) for found in stored.values())


def test_no_gap_and_nothing_twice(cluster: Cluster, pair: Pair):
    """The way in is killed, then the storage stopped: afterwards one sample of each interval is there."""
    begun = time.time()
    time.sleep(2)
    cluster.parts["vminsert"].end(signal.SIGKILL)
    time.sleep(4)
    cluster.parts["vminsert"].start()
    cluster.parts["vmstorage"].end()
    time.sleep(4)
    cluster.parts["vmstorage"].start()
    until = time.time()
    wait_for(lambda: pair.sent_all(until), "everything to be sent", 120)
    wait_for(lambda: _compare(pair, begun, until) == (0, 0), "every interval once", 30)
    for source in pair.prometheus:
        assert read_metric(source.url, "prometheus_remote_storage_samples_failed_total") == 0


def test_a_full_disk_lets_samples_wait(cluster: Cluster, pair: Pair):
    """Storage that leaves more space alone than there is takes none: requests are tried again, none is given up."""
    storage = cluster.parts["vmstorage"]
    storage.end()
    begun = time.time()
    storage.command.append("-storage.minFreeDiskSpaceBytes=1000TB")
    storage.start()
    (source, _) = pair.prometheus
    retried = "prometheus_remote_storage_samples_retried_total"
    wait_for(lambda: read_metric(source.url, retried) > 0, "a request that is tried again", 90)
    assert read_metric(storage.url, "vm_storage_is_read_only") == 1
    storage.end()
    storage.command.pop()
    storage.start()
    until = time.time()
    wait_for(lambda: pair.sent_all(until), "everything to be sent", 120)
    wait_for(lambda: _compare(pair, begun, until)[0] == 0, "every interval", 30)
    assert read_metric(source.url, "prometheus_remote_storage_samples_failed_total") == 0


def test_what_both_forgot_is_filled(cluster: Cluster, pair: Pair):
    """Both Prometheus are killed while the way in is away: `fill` finds the way by the address that is read."""
    begun = time.time()
    cluster.parts["vminsert"].end()
    time.sleep(4)
    for source in pair.prometheus:
        source.end(signal.SIGKILL)
        source.start()
    cluster.parts["vminsert"].start()
    until = time.time()
    wait_for(lambda: pair.sent_all(until), "everything to be sent", 120)
    now = time.time()
    config = FillConfig(
        since=now - begun,
        until=now - until,
        prometheus_url=pair.prometheus[0].url,
        store_url=cluster.read,
        store_write_url=cluster.write,
        metrics="load_.*",
    )
    assert fill(config, now, lambda _: None).written > 0
    wait_for(lambda: fill(config, now, lambda _: None).missing == 0, "nothing to be missing", 30)


def test_too_many_labels_are_counted(cluster: Cluster):
    """The release leaves such samples out and says so by the series that the alert reads."""
    labels = ",".join(f'l{n}="v"' for n in range(70))
    answer = httpx.post(f"{cluster.write}/api/v1/import/prometheus", content=f"wide{{{labels}}} 1\n")
    assert answer.status_code == 204
    url = cluster.parts["vminsert"].url
    wait_for(lambda: read_metric(url, "vm_rows_ignored_total", reason="too_many_labels") == 1, "its count", 30)
