"""The history on the load-test board, over stored runs that a real load generator publishes to a real Prometheus."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_loadgen.store.facts import publish
from perfloop_loadgen.store.location import make_directory
from perfloop_loadgen.store.runs import RunStore
from perfloop_loadgen.summary.verdict import Verdict
from tests.grafana.test_load_board import CONFIG, ENDLESS, Board
from tests.loadgen.stored_runs import run
from tests.support.connections import raw_server
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.grafana.boards import Panel

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _store_runs() -> None:
    """Store fourteen runs of a test, the last six of them slower, and one of another test that failed."""
    make_directory()
    with closing(RunStore()) as store:
        for number in range(14):
            slower = number >= 8
            store.save(
                run(
                    number,
                    p95=0.2 if slower else 0.1,
                    labels={"version": "1.4" if slower else "1.3"},
                    revision="a" * 40,
                )
            )
        store.save(run(20, test="cart", verdict=Verdict.FAILED))
        store.set_baseline("main", [f"{number:012x}" for number in range(3)])
        publish(store)


@pytest.fixture
def board(
    prometheus_binary: str,
    tmp_path: Path,
    boards: dict[str, dict[str, Any]],
    panels: list[Panel],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Board]:
    """The board, asked while the stack's load generator publishes what is stored."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PERFLOOP_LOADGEN_STORE_URL", raising=False)
    _store_runs()
    port, own = find_free_ports(2)
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(targets=f'"127.0.0.1:{port}"'), encoding="utf-8")
    flags = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    mine = [panel for panel in panels if panel.board == "load-test"]
    with (
        raw_server(ANSWER) as server,
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [prometheus_binary, *flags, f"--web.listen-address=127.0.0.1:{own}"], stderr=log, stdout=log
        ) as prometheus,
        httpx.Client(base_url=f"http://127.0.0.1:{own}", timeout=60) as client,
    ):
        file = tmp_path / "steady.yml"
        file.write_text(ENDLESS.format(name="steady", url=server.url), encoding="utf-8")
        command = [sys.executable, "-m", "perfloop_loadgen", "run", file, f"--web.listen-address=127.0.0.1:{port}"]
        with subprocess.Popen(command, stderr=log, stdout=log, env=dict(os.environ)) as steady:
            found = Board(client, boards["load-test"], mine)
            try:
                wait_for(lambda: _answers(client), "Prometheus")
                wait_for(lambda: found.query("loadgen_test_passed"), "what is stored")
                yield found
            finally:
                steady.terminate()
                prometheus.terminate()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.HTTPError:
        return False


def test_each_stored_run_is_a_row_with_its_figures_and_what_changed(board: Board):
    """Response time, rate and failures of each run; version and change beside the run from which on they are so."""
    title = "Load-test history"
    p95 = board.column(title, "A", "run")
    assert len(p95) == 15
    assert p95["2026-01-01 00:00:00Z shop"] == pytest.approx(0.101, rel=0.02)
    assert p95["2026-01-01 13:00:00Z shop"] == pytest.approx(0.201, rel=0.02)
    assert board.column(title, "B", "run").keys() == board.column(title, "C", "run").keys() == p95.keys()
    rows = [one["metric"] for one in board.ask(title)]
    [changed] = [row for row in rows if row.get("change")]
    assert changed["run"] == "2026-01-01 08:00:00Z shop"
    assert changed["version"] == "1.4"
    assert changed["change"].startswith("p95 101 ms → 201 ms (+99%)")
    assert {row["result"] for row in rows} == {"passed", "failed"}
    assert len(board.ask(title, test="cart")) == 1


def test_each_test_has_its_facts(board: Board):
    """Whether its newest run passed, and how many baselines it has, none included."""
    assert board.column("Tests", "A", "test") == {"shop": 1, "cart": 0}
    assert board.column("Tests", "B", "test") == {"shop": 1, "cart": 0}
