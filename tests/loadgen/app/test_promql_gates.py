"""Server-side gates against a real Prometheus that scrapes itself."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.prometheus_api import PrometheusApi
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: prometheus, static_configs: [{{targets: ["{address}"]}}]}}]
"""


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(scope="module")
def prometheus(prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus with a few seconds of data about itself."""
    process, url = _start(prometheus_binary, tmp_path_factory)
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def _start(binary: str, directories: pytest.TempPathFactory) -> tuple[subprocess.Popen[bytes], str]:
    """Start on a free port; another process may take it in between, then the next one is tried."""
    for _ in range(5):
        directory: Path = directories.mktemp("prometheus")
        address = _free_address()
        (directory / "prometheus.yml").write_text(CONFIG.format(address=address))
        command = [binary, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
        command.append(f"--web.listen-address={address}")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if _has_data(process, f"http://{address}"):
            return process, f"http://{address}"
        process.kill()
        process.wait()
    raise TimeoutError(binary)


def _has_data(process: subprocess.Popen[bytes], url: str) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            found = httpx.get(f"{url}/api/v1/query", params={"query": "count_over_time(up[10s]) >= 2"}).json()
            if found["data"]["result"]:
                return True
        except (httpx.HTTPError, KeyError, ValueError):  # not listening, or not ready yet
            pass
        time.sleep(0.2)
    return False


async def _verdict(prometheus: str, url: str, *gates: dict[str, str]) -> Any:
    config = LoadTestConfig.model_validate(
        {
            "base_url": url,
            "duration_seconds": 1.5,
            "concurrent_users": 1,
            "think_time_seconds": 0.05,
            "endpoints": [{"path": "/"}],
            "prometheus_url": prometheus,
            "thresholds": list(gates),
            "generator_limits": {"cpu_ratio": 9, "event_loop_lag_seconds": 9},
        }
    )
    return await LoadTester(config).run_load_test()


async def test_gates_on_the_servers_own_numbers(prometheus: str, hello: Any):
    """`up` was 1 all through the run; `rate` over `$run` exists; a bound that is broken fails the run."""
    holds = {"promql": "up", "expect": ">= 1"}
    over_run = {"promql": "avg_over_time(up[$run])", "expect": "> 0", "name": "up over the run"}
    summary = await _verdict(prometheus, hello.url, holds, over_run)
    assert summary.verdict is Verdict.PASSED
    assert [gate.value for gate in summary.gates] == [1, 1]
    assert summary.gates[1].text == "up over the run"
    summary = await _verdict(prometheus, hello.url, {"promql": "up", "expect": "< 1"})
    assert summary.verdict is Verdict.FAILED


async def test_no_data_is_invalid(prometheus: str, hello: Any):
    """A series that does not exist, and a Prometheus that does not answer: the run has no result."""
    summary = await _verdict(prometheus, hello.url, {"promql": "no_such_series", "expect": "< 1"})
    assert summary.verdict is Verdict.INVALID
    summary = await _verdict("http://127.0.0.1:1", hello.url, {"promql": "up", "expect": "> 0"})
    assert summary.verdict is Verdict.INVALID
    assert any(reason.startswith("prometheus_url: http://127.0.0.1:1: ") for reason in summary.reasons)


async def test_a_broken_expression_is_reported_in_prometheus_words(prometheus: str):
    """The expression, and the error in the words of Prometheus."""
    with pytest.raises(QueryError, match=r"promql 'up\['"):
        await asyncio.wait_for(PrometheusApi(prometheus).values("up[", 0, 1), 10)
