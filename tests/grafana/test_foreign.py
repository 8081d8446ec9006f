"""Panels over programs that are not here: a real Prometheus scrapes their series, and every query finds its own."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.grafana import foreign
from tests.grafana.boards import Panel, default_values, fill_in
from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Boards = dict[str, dict[str, Any]]
FOREIGN = r"vllm:\w+|pg_\w+|redis_\w+|DCGM_\w+"
CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: services
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{service: llm}}}}]
"""


@pytest.fixture(scope="module")
def prometheus(
    prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory, free_port_of_module: int
) -> Iterator[str]:
    """A Prometheus that has scraped the foreign series a few times."""
    folder: Path = tmp_path_factory.mktemp("foreign")
    server, url = foreign.serve(), f"127.0.0.1:{free_port_of_module}"
    (folder / "prometheus.yml").write_text(CONFIG.format(port=server.server_address[1]), encoding="utf-8")
    flags = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([prometheus_binary, *flags, f"--web.listen-address={url}"], stderr=log, stdout=log)
        try:
            _wait_for_samples(f"http://{url}")
            yield f"http://{url}"
        finally:
            process.terminate()
            process.wait(timeout=20)
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def free_port_of_module() -> int:
    """A loopback port that nothing listened on a moment ago."""
    server = foreign.serve()
    port = int(server.server_address[1])
    server.shutdown()
    server.server_close()
    return port


def _wait_for_samples(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if _ask(url, "count_over_time(redis_memory_used_bytes[1m]) > 2"):
                return
        except httpx.HTTPError:  # not listening, or not ready yet
            pass
        time.sleep(0.5)
    pytest.fail("Prometheus did not scrape within a minute")


def _ask(url: str, expression: str) -> list[Any]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=30)
    result: list[Any] = answer.raise_for_status().json()["data"]["result"]
    return result


def test_every_query_over_foreign_series_finds_them(prometheus: str, boards: Boards, panels: list[Panel]):
    """Both spellings of vLLM, DCGM, Redis and PostgreSQL: what the exporters tell is what the panels show."""
    asked = 0
    for panel in panels:
        for expression in panel.expressions:
            if any(re.fullmatch(FOREIGN, name) for name in metric_names(expression)):
                filled = fill_in(expression, default_values(boards[panel.board]))
                assert _ask(prometheus, filled), f"{panel}: {filled}"
                asked += 1
    assert asked > 25


@pytest.mark.parametrize(
    ("title", "between"),
    [
        ("First token, p95", (0.05, 0.11)),
        ("Time per token, p95", (0.0125, 0.026)),
        ("Requests waiting", (2, 2)),
        ("KV cache used", (0.4, 0.4)),
    ],
)
def test_figures_over_foreign_series_are_right(
    prometheus: str, boards: Boards, panels: list[Panel], title: str, between: tuple[float, float]
):
    """The figure is the one that the series was made with."""
    (panel,) = (panel for panel in panels if panel.title == title)
    (found,) = _ask(prometheus, fill_in(panel.expressions[0], default_values(boards[panel.board])))
    assert between[0] <= float(found["value"][1]) <= between[1]
