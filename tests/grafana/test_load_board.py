"""The load-test board over real runs that a real Prometheus scraped: its figures are those of each run's own report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_loadgen.reporters.html_report import render_html
from perfloop_loadgen.summary.document import from_json
from tests.grafana.boards import Panel, default_values, fill_in
from tests.support.connections import raw_server
from tests.support.free_ports import find_free_ports
from tests.support.looking import assert_readable
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

Boards = dict[str, dict[str, Any]]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"state":"sold"}'
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
  - job_name: loadgen
    static_configs: [{{targets: [{targets}]}}]
"""
# The same test twice, the second time with other figures: what is added up over both shows in every one of them.
TESTS = """\
load_tests:
  checkout:
    base_url: {url}
    duration_seconds: {seconds}
    concurrent_users: {users}
    think_time_seconds: 0.02
    generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 60}}
    endpoints:
      - {{path: /buy, weight: {weight}, checks: [{{json: state, equals: sold}}, {{header: ETag}}]}}
      - {{path: /items, weight: 3}}
      - {{path: /gone, expected_status: 404}}
    thresholds: ["p95 < 5 s", "errors < 1 %", {{endpoint: GET /items, expect: "p99 < 5 s"}}]
"""
ENDLESS = """\
load_tests:
  {name}:
    base_url: {url}
    duration_seconds: 0
    concurrent_users: 1
    think_time_seconds: 0.05
    endpoints: [{{path: /items}}]
"""


@dataclass
class Board:
    """The board's queries, asked of the Prometheus that scraped the runs."""

    client: httpx.Client
    board: dict[str, Any]
    panels: list[Panel]
    reports: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, title: str, letter: str = "A", **chosen: str) -> list[Any]:
        """The answer to a query of a panel, with the variables as they are at first but for those that are chosen."""
        (panel,) = [panel for panel in self.panels if panel.title == title]
        (expr,) = [target["expr"] for target in panel.json["targets"] if target["refId"] == letter]
        return self.query(fill_in(expr, default_values(self.board) | chosen))

    def query(self, expression: str) -> list[Any]:
        """The series of an instant query."""
        answer = self.client.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", (answer.get("error"), expression)
        result: list[Any] = answer["data"]["result"]
        return result

    def figure(self, title: str, letter: str = "A", **chosen: str) -> float:
        """The one value of a figure."""
        (series,) = self.ask(title, letter, **chosen)
        return float(series["value"][1])

    def column(self, title: str, letter: str, label: str, **chosen: str) -> dict[str, float]:
        """A column of a table by the values of a label."""
        return {one["metric"][label]: float(one["value"][1]) for one in self.ask(title, letter, **chosen)}


def _start(file: Path, port: int, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "perfloop_loadgen", "run", str(file), f"--web.listen-address=127.0.0.1:{port}"]
    with file.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([*command, *flags], stdout=log, stderr=log, cwd=file.parent)


def _run_twice(directory: Path, url: str, port: int) -> list[dict[str, Any]]:
    """One run after the other, of the same test, on the same port."""
    reports = []
    for number, (seconds, users, weight) in enumerate(((3, 4, 1), (2.2, 1, 3))):
        file, report = directory / "checkout.yml", directory / f"{number}.json"
        file.write_text(TESTS.format(url=url, seconds=seconds, users=users, weight=weight), encoding="utf-8")
        with _start(file, port, f"--report.json={report}") as process:
            process.wait(180)
        reports.append(json.loads(report.read_bytes()))
    return reports


@pytest.fixture(scope="module")
def board(
    prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory, boards: Boards, panels: list[Panel]
) -> Iterator[Board]:
    """Two runs that ended, one that was killed, one that was frozen; Prometheus has scraped all of them."""
    directory: Path = tmp_path_factory.mktemp("runs")
    *ports, own = find_free_ports(4)
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    (directory / "prometheus.yml").write_text(CONFIG.format(targets=targets), encoding="utf-8")
    flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}"]
    command = [prometheus_binary, *flags, f"--web.listen-address=127.0.0.1:{own}"]
    mine = [panel for panel in panels if panel.board == "load-test"]
    with (
        raw_server(ANSWER) as server,
        (directory / "log").open("w") as log,
        subprocess.Popen(command, stderr=log, stdout=log) as prometheus,
        httpx.Client(base_url=f"http://127.0.0.1:{own}", timeout=60) as client,
    ):
        found = Board(client, boards["load-test"], mine)
        endless: list[subprocess.Popen[bytes]] = []
        try:
            wait_for(lambda: _is_ready(client), "Prometheus")
            # A run that ends before its first scrape has left nothing.
            wait_for(lambda: len(found.query("up")) == len(ports), "the first scrape of every target")
            for name, port in (("killed", ports[1]), ("frozen", ports[2])):
                file = directory / f"{name}.yml"
                file.write_text(ENDLESS.format(name=name, url=server.url), encoding="utf-8")
                endless.append(_start(file, port))
            with ThreadPoolExecutor() as pool:
                both = pool.submit(_run_twice, directory, server.url, ports[0])
                _cut_off(found, *endless)
                found.reports = both.result()
            yield found
        finally:
            for process in endless:
                process.kill()
                process.wait(30)
            prometheus.terminate()


def _cut_off(board: Board, killed: subprocess.Popen[bytes], frozen: subprocess.Popen[bytes]) -> None:
    """Kill one run and freeze the other, each in the middle, and wait until Prometheus misses both."""
    for process, name, number in ((killed, "killed", signal.SIGKILL), (frozen, "frozen", signal.SIGSTOP)):
        scraped = f'count(count_over_time(loadgen_run_info{{test="{name}"}}[1m]) > 2)'
        wait_for(lambda scraped=scraped: board.query(scraped), f"scrapes of the {name} run")
        assert board.figure("Verdict", test=name) == 3
        process.send_signal(number)
    missed = 'last_over_time(loadgen_run_info{test=~"killed|frozen"}[5m]) and on (instance) (up == 0)'
    wait_for(lambda: len(board.query(missed)) == 2, "Prometheus to miss both")


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.HTTPError:
        return False


def _name(report: dict[str, Any]) -> str:
    return str(report["run_name"])


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("by", ["run_name", "run_id"])
def test_figures_are_those_of_the_report(board: Board, number: int, by: str):
    """Of each of two runs on one port, chosen by its name or its id, long after their process has ended."""
    report = board.reports[number]
    summary = report["summary"]
    total, chosen = summary["total"], {"test": "checkout", "run": report[by]}
    seconds = summary["duration_seconds"]
    expected = {
        "Verdict": 1.0,
        "Completed rate": total["total_requests"] / seconds,
        "Failed requests": total["failed_requests"] / total["total_requests"],
        "Response p95": total["response"]["quantiles_seconds"]["p95"],
        "Dropped iterations": 0.0,
        "Duration": seconds,
        "Peak rate": summary["peak_rate"],
        "Chosen quantile": total["response"]["quantiles_seconds"]["p95"],
        "Transfer rate": total["bytes_received"] / seconds,
        "Checks passed": 0.5,
    }
    assert {title: board.figure(title, **chosen) for title in expected} == pytest.approx(expected, rel=1e-6)
    assert [board.ask(title, "B", **chosen) for title in expected if title != "Verdict"] == [[]] * (len(expected) - 1)


def test_the_newest_run_is_shown_and_nothing_is_added_up(board: Board):
    """With nothing chosen, and with both chosen: the second run alone."""
    newest = board.reports[1]["summary"]
    both = "|".join(map(_name, board.reports))
    rate = newest["total"]["total_requests"] / newest["duration_seconds"]
    for run in (".*", both):
        assert board.figure("Completed rate", test="checkout", run=run) == pytest.approx(rate, rel=1e-6)
        (verdict,) = board.ask("Verdict", test="checkout", run=run)
        assert verdict["metric"]["run"] == _name(board.reports[1])


def test_the_knee_is_a_rate_that_was_kept_up(board: Board):
    """Not above the peak, and not below what the whole run completed."""
    summary = board.reports[0]["summary"]
    (panel,) = [one for one in board.panels if one.title == "Knee"]
    # The board looks every 10 s, as often as the rate is another; this run is over by then.
    asked = fill_in(panel.expressions[0], default_values(board.board) | {"run": board.reports[0]["run_id"]})
    knee = float(board.query(asked.replace(":10s]", ":1s]"))[0]["value"][1])
    good = summary["total"]["successful_requests"] / summary["duration_seconds"]
    assert good * 0.8 <= knee <= summary["peak_rate"]


def test_names_of_runs_are_readable_and_sort_by_time(board: Board):
    """The moment and the test; the later run has the greater name."""
    names = list(map(_name, board.reports))
    assert names == sorted(set(names))
    for name, report in zip(names, board.reports, strict=True):
        assert name.startswith(report["started_at"][:10])
        assert name.endswith("Z checkout")


def test_a_chosen_quantile_is_the_reports(board: Board):
    """Each that the variable offers."""
    times = board.reports[0]["summary"]["total"]["response"]["quantiles_seconds"]
    run = _name(board.reports[0])
    for quantile, name in (("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99"), ("0.999", "p99.9")):
        found = board.figure("Chosen quantile", test="checkout", run=run, quantile=quantile)
        assert found == pytest.approx(times[name], rel=1e-6)


@pytest.mark.parametrize("number", [0, 1])
def test_endpoints_are_those_of_the_report(board: Board, number: int):
    """Rate, failures and percentiles of each endpoint of the run."""
    summary = board.reports[number]["summary"]
    chosen = {"test": "checkout", "run": _name(board.reports[number])}
    rows = {row["label"]: row for row in summary["endpoints"]}
    columns = [board.column("Endpoints", letter, "endpoint", **chosen) for letter in "ABCDE"]
    assert [set(column) for column in columns] == [set(rows)] * 5
    for label, row in rows.items():
        times = row["response"]["quantiles_seconds"]
        expected = [
            row["total_requests"] / summary["duration_seconds"],
            row["failed_requests"] / row["total_requests"],
            *(times[name] for name in ("p50", "p95", "p99")),
        ]
        assert [column[label] for column in columns] == pytest.approx(expected, rel=1e-6)


def test_gates_reasons_and_checks_are_those_of_the_report(board: Board):
    """Each gate with what it measured, each reason in full, each check with its counts."""
    report = board.reports[0]
    summary, chosen = report["summary"], {"test": "checkout", "run": _name(report)}
    gates = {one["metric"]["threshold"]: one for one in board.ask("Gates", **chosen)}
    assert {text: one["value"][1] == "1" for text, one in gates.items()} == {
        gate["text"]: gate["passed"] for gate in summary["gates"]
    }
    assert all(one["metric"]["measured"][0].isdigit() for one in gates.values())
    assert {one["metric"]["reason"] for one in board.ask("Reasons", **chosen)} == set(summary["reasons"])
    (buy,) = [row for row in summary["endpoints"] if row["checks"]]
    for letter, result in (("A", "passed"), ("B", "failed")):
        expected = {check["name"]: check[result] for check in buy["checks"]}
        assert board.column("Checks", letter, "check", **chosen) == expected


def test_every_run_has_its_row(board: Board):
    """Four runs, each with its own figures and state, and a link to its report."""
    names = board.column("Runs", "A", "run")
    assert [names[_name(report)] for report in board.reports] == [1, 1]
    assert sorted(name.split(" ", 2)[2] for name, state in names.items() if state == 4) == ["frozen", "killed"]
    rates = board.column("Runs", "C", "run", test="checkout")
    assert rates == pytest.approx(
        {
            _name(report): report["summary"]["total"]["total_requests"] / report["summary"]["duration_seconds"]
            for report in board.reports
        }
    )


@pytest.mark.parametrize("name", ["killed", "frozen"])
def test_a_run_that_no_longer_answers_says_so(board: Board, name: str):
    """It has no result, and beside each of its figures stands that it was cut off; what it measured stays."""
    assert board.figure("Verdict", test=name) == 4
    assert board.figure("Completed rate", test=name) > 0
    assert board.figure("Completed rate", "B", test=name) == 1
    assert board.figure("Response p95", "B", test=name) == 1


def test_a_report_can_be_read_to_its_last_column(board: Board, browser: Browser, tmp_path: Path):
    """No faint label in light or dark; on a desk's screen no table is wider than its page."""
    source, page_file = tmp_path / "report.json", tmp_path / "report.html"
    source.write_text(json.dumps(board.reports[0]), encoding="utf-8")
    page_file.write_bytes(render_html(from_json(source)))
    assert_readable(browser, page_file.as_uri())
    with browser.new_page(viewport={"width": 1280, "height": 900}) as page:
        page.goto(page_file.as_uri())
        hidden = "[...document.querySelectorAll('.scroll')].map(one => one.scrollWidth - one.clientWidth)"
        assert set(page.evaluate(hidden)) == {0}


def test_no_rate_has_two_runs_in_it(board: Board):
    """A line of the first run ends with it, though the second one's counters have gone on from the same port."""
    (panel,) = [one for one in board.panels if one.title == "Offered vs. completed rate"]
    for report in board.reports:
        for expression in panel.expressions[:2]:
            filled = fill_in(expression, default_values(board.board) | {"run": report["run_id"]})
            window = f"max_over_time(({filled.replace('[1m]', '[5s]')})[5m:1s])"
            highest = [float(one["value"][1]) for one in board.query(window)]
            assert highest, expression
            # No second of the run had more answers than its peak, whatever the other run did.
            assert max(highest) <= report["summary"]["peak_rate"] * 1.6, expression


def test_offered_and_completed_are_equal_where_the_service_keeps_up(board: Board):
    """Counters of the same moments over the same window: no lag of one behind the other, no false knee."""
    run = {"run": board.reports[0]["run_id"]}
    (panel,) = [one for one in board.panels if one.title == "Offered vs. completed rate"]
    offered, completed, failed = (fill_in(one, default_values(board.board) | run) for one in panel.expressions)
    apart = f"max_over_time((abs(({offered}) - ({completed}) - ({failed})) / ({offered}))[5m:1s])"
    assert float(board.query(apart)[0]["value"][1]) < 0.1


def test_with_no_run_the_board_has_nothing(board: Board):
    """A test that never ran: every panel that says that none ran has no series of one."""
    for panel in board.panels:
        if panel.defaults["noValue"].startswith("No load test ran"):
            own = [one for one in panel.expressions if "http_server" not in one]
            # Grafana empties the variable, whose values are those of runs.
            values = default_values(board.board) | {"test": "none", "quantile": ""}
            assert [board.query(fill_in(one, values)) for one in own] == [[]] * len(own), str(panel)
