"""Native histograms in a real Prometheus, without any `_bucket`, `_count` or `_sum`: the catalogue works as ever."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.ports import Query
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.series import Grid, current
from tests.analyzer.conftest import wait_for
from tests.support.remote_write import write_histograms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def native(prometheus_binary: str, free_port: int, tmp_path: Path) -> Iterator[str]:
    """A Prometheus that keeps native histograms."""
    (tmp_path / "prometheus.yml").write_text("{}")
    url = f"http://127.0.0.1:{free_port}"
    process = subprocess.Popen(
        [
            prometheus_binary,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{free_port}",
            *("--web.enable-remote-write-receiver", "--enable-feature=native-histograms", "--log.level=error"),
        ]
    )
    try:
        wait_for(f"{url}/-/ready")
        yield url
    finally:
        process.terminate()
        process.wait(10)


async def test_the_catalogue_reads_native_histograms(native: str) -> None:
    """Half a second to a second, nine in ten of the requests good, ten a second: every figure of the API is there."""
    now = time.time()
    for status, count in (("200", 9), ("500", 1)):
        labels = {
            "__name__": "http_server_request_duration_seconds",
            "service": "shop",
            "http_response_status_code": status,
        }
        steps = [(now - 300 + 15 * at, 15 * count * at) for at in range(21)]
        # The bucket n = 0 is from 0.5 to 1.
        write_histograms(native, labels, [(at, [number], 0.75 * number) for at, number in steps])
    queries = [Query(one.name, one.query("1m")) for one in load_catalog()]
    async with PrometheusSource(SourceConfig(native)) as source:
        answers = await source.query(queries, Grid(now - 60, 15.0, 5))
        plain = Query("latency_p95", 'rate(http_server_request_duration_seconds{http_response_status_code="200"}[1m])')
        read = await source.query([plain], Grid(now - 60, 15.0, 5))
    assert not answers.failures
    newest = {name: current(batch.values)[0] for name, batch in answers.batches.items() if len(batch)}
    # Prometheus 2 interpolates within a bucket linearly, 3 exponentially.
    assert newest["api_response_time_p95"] == pytest.approx(0.97, abs=0.02)
    assert newest["request_rate"] == pytest.approx(10, rel=0.05)
    assert newest["error_ratio"] == pytest.approx(0.1, rel=0.05)
    assert newest["api_latency_mean"] == pytest.approx(0.75, rel=0.05)
    assert current(read.batches["latency_p95"].values)[0] == pytest.approx(2 ** (-0.05), rel=0.01)
