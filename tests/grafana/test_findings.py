"""The boards of what the analyzer finds, by a real Prometheus with a past made by hand: healthy, at fault, silent."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_boards.watches import ANALYZER_DOWN
from tests.grafana.boards import default_values, fill_in
from tests.grafana.machines import run
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.grafana.boards import Panel

BOARDS = ("analysis", "recommendations")
MINUTE = 60
HEALTHY, FAULTY, SILENT, END = (minute * MINUTE for minute in (0, 20, 40, 60))
SHOP, MAIL = 'service="shop",signal="api_response_time_p95"', 'service="mail",signal="error_ratio"'
SLOW = 'id="slow",service="shop",category="api",priority="high",title="T1",state="open",gain_of="Response time of shop"'
PAY = 'id="pay",service="mail",category="code",priority="critical",title="T2",state="open"'
ALWAYS = {
    'up{job="analyzer",instance="a"}': 1,
    'perfloop_health_score{service="overall"}': 60,
    'perfloop_health_score{service="shop"}': 60,
}
# Two incidents at once, the second of two causes; each began before what is kept of them.
FOUND = {
    'perfloop_incident_start_timestamp_seconds{incident="old",service="shop"}': -7200,
    'perfloop_incident_start_timestamp_seconds{incident="new",service="mail"}': -600,
    f'perfloop_finding_start_timestamp_seconds{{incident="old",{SHOP}}}': -7200,
    'perfloop_root_cause_score{incident="old",service="shop",resource="database"}': 0.75,
    'perfloop_root_cause_score{incident="old",service="shop",resource="api"}': 0.25,
    'perfloop_root_cause_score{incident="new",service="mail",resource="api"}': 1.0,
    'perfloop_bottleneck{service="shop",resource="database",severity="critical"}': 0.75,
    f"perfloop_health_penalty{{{SHOP}}}": 30,
    'perfloop_signals_without_data{service="mail"}': 2,
    f"perfloop_anomaly_score{{{SHOP}}}": 4,
    f"perfloop_change_point_timestamp_seconds{{{SHOP}}}": -7200,
    f"perfloop_change_point_before{{{SHOP}}}": 0.02,
    f"perfloop_change_point_after{{{SHOP}}}": 0.733,
    f'perfloop_change_point_info{{{SHOP},levels="20 ms → 733 ms"}}': 1,
    f'perfloop_seconds_until_limit{{{SHOP},bound="lower"}}': 3600,
    f"perfloop_trend_slope{{{MAIL}}}": 0.001,
    f"perfloop_recommendation_info{{{SLOW}}}": 1,
    f"perfloop_recommendation_info{{{PAY}}}": 1,
    'perfloop_recommendation_rank{id="pay"}': 1,
    'perfloop_recommendation_rank{id="slow"}': 2,
    'perfloop_recommendation_expected_improvement_ratio{id="slow"}': 0.56,
    'perfloop_recommendation_start_timestamp_seconds{id="slow"}': -7200,
    'perfloop_recommendation_start_timestamp_seconds{id="pay"}': -600,
}


@dataclass(frozen=True)
class Past:
    """A Prometheus with an hour of series; `start` is its first moment in Unix seconds."""

    client: httpx.Client
    start: int

    def ask(self, expression: str, at: int) -> list[Any]:
        """The result of an instant query."""
        answer = self.client.get("/api/v1/query", params={"query": expression, "time": self.start + at})
        found: list[Any] = answer.raise_for_status().json()["data"]["result"]
        return found


def _write(start: int) -> str:
    """The hour as OpenMetrics; a series that ends does so by itself after five minutes."""
    lines = []
    for name, value in {**ALWAYS, **FOUND}.items():
        first = HEALTHY if name in ALWAYS else FAULTY
        # Moments lie before the start of the series.
        shown = start + value if "timestamp" in name else value
        lines += [f"{name} {shown} {start + at}" for at in range(first, SILENT, 30)]
    # Prometheus was started again: the words of before have no end of their own.
    old = f'perfloop_change_point_info{{{SHOP},levels="10 ms → 20 ms"}}'
    lines += [f"{old} 1 {start + at}" for at in range(FAULTY, SILENT - 3 * MINUTE, 30)]
    lines += [f'up{{job="analyzer",instance="a"}} 0 {start + at}' for at in range(SILENT, END + 1, 30)]
    success = "perfloop_analyzer_last_success_timestamp_seconds"
    lines += [f"{success} {start + at} {start + at}" for at in range(0, SILENT, 30)]
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture(scope="module")
def past(prometheus_binary: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """Prometheus over the hour that ended two hours ago."""
    directory: Path = tmp_path_factory.mktemp("past")
    start = int(time.time()) // 7200 * 7200 - 2 * 7200
    (directory / "series.om").write_text(_write(start), encoding="utf-8")
    made = [
        promtool,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(directory / "series.om"),
        str(directory / "data"),
    ]
    subprocess.run(made, check=True, capture_output=True)
    (directory / "prometheus.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    url = f"127.0.0.1:{find_free_ports(1)[0]}"
    flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}"]
    with (
        run([prometheus_binary, *flags, f"--web.listen-address={url}"], directory / "log"),
        httpx.Client(base_url=f"http://{url}", timeout=60) as client,
    ):
        wait_for(lambda: _is_ready(client), "Prometheus to be ready")
        yield Past(client, start)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def shown(panels: list[Panel]) -> list[Panel]:
    """The panels of both boards."""
    return [panel for panel in panels if panel.board in BOARDS]


@pytest.fixture(scope="module")
def ask(past: Past, boards: dict[str, dict[str, Any]]) -> Any:
    """What the queries of a panel find at a moment, one list for each."""

    def find(panel: Panel, at: int) -> list[list[Any]]:
        values = default_values(boards[panel.board])
        return [past.ask(fill_in(expression, values), at) for expression in panel.expressions]

    return find


def _rows(found: list[list[Any]]) -> Counter[str]:
    return Counter(text for part in found for row in part for text in row["metric"].values())


def test_a_healthy_service_has_empty_tables_and_zeros(ask: Any, shown: list[Panel]):
    """Nothing is found, and nothing says that the analyzer is down."""
    for panel in shown:
        found = ask(panel, FAULTY - MINUTE)
        assert ANALYZER_DOWN not in _rows(found), panel
        assert "analyzer down" not in str(found), panel
        if panel.json["type"] == "table":
            assert not any(found), panel
    counts = [panel for panel in shown if panel.title in {"Incidents", "Bottlenecks", "Anomalous signals", "Open"}]
    assert [[float(row["value"][1]) for row in ask(panel, FAULTY - MINUTE)[0]] for panel in counts] == [[0.0]] * 4


def test_each_incident_has_its_causes_and_they_add_up_to_one(ask: Any, shown: list[Panel]):
    """Grouped by incident, each with its own start; the whole column is no sum of one thing."""
    (panel,) = (panel for panel in shown if panel.title == "Probable cause, by incident")
    shares, since = ask(panel, SILENT - MINUTE)
    sums: Counter[str] = Counter()
    for row in shares:
        sums[row["metric"]["incident"]] += float(row["value"][1])
    assert sums == {"old": pytest.approx(1.0), "new": pytest.approx(1.0)}
    started = {row["metric"]["incident"]: float(row["value"][1]) for row in since}
    assert started["new"] - started["old"] == pytest.approx(6_600_000)  # milliseconds, as Grafana shows times
    order = [field["displayName"] for field in panel.json["options"]["sortBy"]]
    assert order == ["Since", "Incident", "Share"]


def test_a_level_change_has_its_newest_words(ask: Any, shown: list[Panel]):
    """Where Prometheus was started again the words of before are still there: one row, with the present ones."""
    (panel,) = (panel for panel in shown if panel.title == "Level changes")
    (rows,) = ask(panel, SILENT - MINUTE)
    assert [row["metric"]["levels"] for row in rows] == ["20 ms → 733 ms"]


# Nothing was measured or proved, and no service has too few replicas.
NOT_YET = {
    "Validated share",
    "Mean measured gain",
    "Measured ÷ expected gain",
    "Recommended replicas",
    "Expectations that held",
}


def test_recommendations_are_in_the_analyzers_order_and_say_of_what(ask: Any, shown: list[Panel]):
    """By rank, so by priority and then gain; the gain has its metric beside it."""
    (panel,) = (panel for panel in shown if panel.title == "All recommendations")
    ranks, gains, _, _, since, *_ = ask(panel, SILENT - MINUTE)
    assert {row["metric"]["id"]: row["value"][1] for row in ranks} == {"pay": "1", "slow": "2"}
    assert [(row["metric"]["gain_of"], row["value"][1]) for row in gains] == [("Response time of shop", "0.56")]
    assert len(since) == 2
    assert panel.json["options"]["sortBy"] == [{"displayName": "#", "desc": False}]


def test_every_panel_finds_what_was_found(ask: Any, shown: list[Panel]):
    """At fault no table is empty and every figure has its value."""
    for panel in shown:
        if panel.title in NOT_YET:
            continue
        if not panel.title.startswith(("Actual", "Time to")):
            assert ask(panel, SILENT - MINUTE)[0], panel


def test_a_silent_analyzer_is_said_everywhere(ask: Any, past: Past, shown: list[Panel]):
    """Ten minutes after its last result: no figure, no empty table, no picture that looks like good health."""
    for panel in shown:
        found = ask(panel, SILENT + 10 * MINUTE)
        kind = panel.json["type"]
        if kind == "stat":
            assert found[0] == [], panel
            assert [row["value"][1] for row in found[1]] == ["1"], panel
        elif kind == "table" and panel.title != "Measured ÷ expected gain":  # its empty text claims no health
            assert ANALYZER_DOWN in _rows(found), panel
        elif not panel.title.startswith(("Actual", "Measured")):
            assert "analyzer down" in str((found, panel.json["targets"])), panel
            assert any(row["value"][1] == "0" for part in found for row in part), panel
    dated = [panel for panel in shown if panel.title in {"Probable cause, by incident", "All recommendations"}]
    last = (past.start + SILENT - 30) * 1000
    for panel in dated:
        times = ask(panel, SILENT + 10 * MINUTE)[4 if panel.board == "recommendations" else 1]
        assert [float(row["value"][1]) for row in times] == [last]


def test_every_panel_leads_on(shown: list[Panel]):
    """Each value, series and cell that names something has a link to it."""
    for panel in shown:
        links = list(panel.json["fieldConfig"]["defaults"].get("links") or ())
        for override in panel.json["fieldConfig"]["overrides"]:
            links += [link for one in override["properties"] if one["id"] == "links" for link in one["value"]]
        assert links, panel
        assert all(link["title"] and link["url"] for link in links), panel


def test_no_two_series_of_the_band_have_one_colour(shown: list[Panel]):
    """Actual, expected, and both edges."""
    (panel,) = (panel for panel in shown if panel.title.startswith("Actual"))
    colours = [
        one["value"]["fixedColor"]
        for override in panel.json["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "color"
    ]
    assert len(colours) == len(set(colours)) == len(panel.expressions)
