"""Panels over what a healthy demo never shows: a real Prometheus scrapes it, and every query finds its own."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_boards.watches import ANALYZER
from tests.grafana import foreign
from tests.grafana.boards import Panel, default_values, fill_in
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for
from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Boards = dict[str, dict[str, Any]]
KNOWN = "count without (le)"  # in queries that ask how much is known of a percentile
FOREIGN = r"vllm:\w+|pg_\w+|redis_\w+|DCGM_\w+"
FOUND = (
    r"perfloop_(anomaly|change_point|trend|seconds_until|signal|health|bottleneck|root_cause|recommendation|desired)_\w+"
    r"|perfloop_bottleneck|ALERTS"
)
# Queries that find something only while others find nothing: the analyzer has no result, no alert fires.
# `perfloop_signals_without_data`: every signal has data.
OTHERWISE = ('count(max(up{job="analyzer"})', "vector(0) unless", "max by (service) (perfloop_signals_without_data")
CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: services
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{service: shop}}}}]
"""
RULES = """\
groups:
  - name: fires
    rules:
      - {alert: Slow, expr: perfloop_signal_value > 1, labels: {severity: critical}}
      - {alert: Slow, expr: perfloop_signal_value > 0, labels: {severity: warning}}
      - {alert: Full, expr: perfloop_signal_value > 2, labels: {severity: warning}}
      - {alert: Waits, expr: perfloop_signal_value > 3, for: 1h, labels: {severity: warning}}
"""


@pytest.fixture(scope="module")
def prometheus(prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus that has scraped the foreign series a few times, and whose alerts fire."""
    directory: Path = tmp_path_factory.mktemp("foreign")
    url = f"127.0.0.1:{find_free_ports(1)[0]}"
    with foreign.serve() as port, httpx.Client(base_url=f"http://{url}", timeout=60) as client:
        (directory / "prometheus.yml").write_text(CONFIG.format(port=port), encoding="utf-8")
        (directory / "rules.yml").write_text(RULES, encoding="utf-8")
        flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}"]
        command = [prometheus_binary, *flags, f"--web.listen-address={url}"]
        with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
            try:
                wait_for(lambda: _has_seen_enough(client), "Prometheus to scrape and its alerts to fire")
                yield client
            finally:
                process.terminate()


def _has_seen_enough(client: httpx.Client) -> bool:
    try:
        return bool(_ask(client, "count_over_time(redis_memory_used_bytes[5m]) > 2 and on () count(ALERTS) == 4"))
    except httpx.HTTPError:  # not listening, or not ready yet
        return False


def _ask(client: httpx.Client, expression: str) -> list[Any]:
    answer = client.get("/api/v1/query", params={"query": expression})
    result: list[Any] = answer.raise_for_status().json()["data"]["result"]
    return result


def test_every_query_over_foreign_series_finds_them(prometheus: httpx.Client, boards: Boards, panels: list[Panel]):
    """Both spellings of vLLM, DCGM, Redis and PostgreSQL: what the exporters report is what the panels show."""
    asked = 0
    for panel in panels:
        for expression in panel.expressions:
            # Of what is said of a percentile one part is always empty, see below; test_slo.py has the objectives.
            elsewhere = KNOWN in expression or "service_slo:" in expression
            if not elsewhere and any(re.fullmatch(FOREIGN, name) for name in metric_names(expression)):
                filled = fill_in(expression, default_values(boards[panel.board]))
                assert _ask(prometheus, filled), f"{panel}: {filled}"
                asked += 1
    assert asked > 25


@pytest.mark.parametrize(("title", "bounds"), [("First token p95", (0.05, 0.1)), ("Per token p95", (0.0125, 0.025))])
def test_a_percentile_of_few_buckets_is_its_bounds(
    prometheus: httpx.Client, boards: Boards, panels: list[Panel], title: str, bounds: tuple[float, float]
):
    """Where the bounds are far apart, as vLLM's: more than 50 ms and at most 100 ms, instead of 97.5 ms."""
    (panel,) = (one for one in panels if one.title == title)
    asked = {target.get("legendFormat", ""): target["expr"] for target in panel.json["targets"]}
    values = {
        name: [float(one["value"][1]) for one in _ask(prometheus, fill_in(expr, default_values(boards["llm"])))]
        for name, expr in asked.items()
        if KNOWN in expr
    }
    low, high = map(pytest.approx, bounds)
    assert values == {"": [], "more than": [low], "at most": [high]}


def test_every_query_over_findings_finds_them(prometheus: httpx.Client, boards: Boards, panels: list[Panel]):
    """Bands, causes, forecasts, the life of a recommendation and its gain, alerts, the verdict: their labels join."""
    asked = 0
    for panel in panels:
        if panel.board == "slo":  # its series are the rules', see test_slo.py
            continue
        for expression in panel.expressions:
            if expression.startswith(OTHERWISE):
                continue
            asked_for = expression.replace(f"and on () ({ANALYZER.answering})", "")
            if any(re.fullmatch(FOUND, name) for name in metric_names(asked_for) - {"loadgen_requests_total"}):
                filled = fill_in(expression, default_values(boards[panel.board]))
                assert _ask(prometheus, filled), f"{panel}: {filled}"
                asked += 1
    assert asked > 35


def test_an_alert_is_listed_once(prometheus: httpx.Client, boards: Boards, panels: list[Panel]):
    """What is critical is not listed as a warning as well; what only warns is."""
    for title in ("Firing alerts by severity", "Firing alerts"):
        (panel,) = (panel for panel in panels if panel.title == title)
        found = _ask(prometheus, fill_in(panel.expressions[0], default_values(boards[panel.board])))
        listed = sorted((one["metric"]["alertname"], one["metric"]["severity"]) for one in found)
        assert listed == [("Full", "warning"), ("Slow", "critical")]


def test_measured_by_expected_gain(prometheus: httpx.Client, boards: Boards, panels: list[Panel]):
    """Measured by expected: 0.4 of 0.5 is 0.8; what was not measured is not in it."""
    (panel,) = (panel for panel in panels if panel.title == "Measured ÷ expected gain")
    (found,) = _ask(prometheus, fill_in(panel.expressions[0], default_values(boards[panel.board])))
    assert (found["metric"]["id"], float(found["value"][1])) == ("slow", pytest.approx(0.8))


@pytest.mark.parametrize(
    ("title", "between"),
    [
        ("Waiting", (2, 2)),
        ("KV cache used", (0.4, 0.4)),
    ],
)
def test_figures_over_foreign_series_are_right(
    prometheus: httpx.Client, boards: Boards, panels: list[Panel], title: str, between: tuple[float, float]
):
    """The figure is the one that the series was made with."""
    (panel,) = (panel for panel in panels if panel.title == title)
    (found,) = _ask(prometheus, fill_in(panel.expressions[0], default_values(boards[panel.board])))
    assert between[0] <= float(found["value"][1]) <= between[1]


def test_a_level_change_says_from_what_to_what(prometheus: httpx.Client, boards: Boards, panels: list[Panel]):
    """The table of changes has the old and the new level beside the signal, and its time in milliseconds."""
    (panel,) = (panel for panel in panels if str(panel) == "overview: Recent changes")
    found = _ask(prometheus, fill_in(panel.expressions[0], default_values(boards["overview"])))
    (change,) = (one for one in found if one["metric"].get("signal"))
    assert (change["metric"]["what"], change["metric"]["levels"]) == ("api_response_time_p95", "20 ms → 733 ms")
    assert float(change["value"][1]) == 1.8e12


def test_an_incident_has_its_stored_start(prometheus: httpx.Client, boards: Boards, panels: list[Panel]):
    """The table of incidents shows the most probable cause and the time that the analyzer keeps, not a sliding one."""
    (panel,) = (panel for panel in panels if str(panel) == "overview: Incidents")
    found = _ask(prometheus, fill_in(panel.expressions[0], default_values(boards["overview"])))
    (start,) = (float(value) for name, value in foreign.FINDINGS.items() if "incident_start" in name)
    assert {(one["metric"]["resource"], float(one["value"][1])) for one in found} == {("database", start * 1000)}
