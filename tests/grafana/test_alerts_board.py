"""The alerts board, by Prometheus's own engine: one row for each alert, the same count everywhere, since when."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from perfloop_boards.problems import FIRING
from tests.grafana.boards import default_values, fill_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.grafana.boards import Panel

Boards = dict[str, dict[str, Any]]
SORTED_BY = 'category="errors",component="api",owner="api",signal="error_ratio"'


def _alert(name: str, severity: str, state: str = "firing", more: str = SORTED_BY) -> str:
    return f'ALERTS{{alertname="{name}",alertstate="{state}",severity="{severity}",service="shop",{more}}}'


# By the minute, over an hour. Errors warn from the tenth minute on and are critical from the twentieth; two pools are
# one message; an alert of the user's own has no facts; what is pending and what sends no message is not counted.
SERIES = {
    _alert("ApiErrorsHigh", "critical"): "_x20 1x40",
    _alert("ApiErrorsHigh", "warning"): "_x10 1x50",
    _alert("ApiErrorsHigh", "critical", "pending"): "_x19 1x0 _x40",
    _alert("DatabasePoolNearlyFull", "warning", more='pool="a",signal="db_pool_used_ratio"'): "_x5 1x55",
    _alert("DatabasePoolNearlyFull", "warning", more='pool="b",signal="db_pool_used_ratio"'): "_x6 1x54",
    _alert("Own", "warning", more='owner="me"'): "_x30 1x30",
    _alert("ApiTimeoutsHigh", "warning", "pending"): "1x60",
    _alert("LoadHigh", "info", more='owner="platform"'): "1x60",
    _alert("Watchdog", "none", more='owner="platform"'): "1x60",
    'service:http_server_errors:ratio_rate1m{service="shop"}': "0.1623x60",
    'service_pool:db_client_connection_used_per_max:ratio_avg1m{service="shop",pool="a"}': "0.85x60",
    'service_pool:db_client_connection_used_per_max:ratio_avg1m{service="shop",pool="b"}': "0.9x60",
}
AT = "40m"


@pytest.fixture
def ask(promtool: str, checkout: Path, tmp_path: Path) -> Any:
    """Ask Prometheus's engine, with the shipped recordings of alerts, and compare labels and values."""

    def run(expected: Mapping[str, Mapping[str, float]], series: Mapping[str, str] = SERIES) -> None:
        asked = [
            {
                "expr": query,
                "eval_time": AT,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
            }
            for query, samples in expected.items()
        ]
        made = [{"series": name, "values": values} for name, values in series.items()]
        test = {"interval": "1m", "input_series": made, "promql_expr_test": asked}
        rules = str(checkout / "prometheus" / "rules" / "alerts.yml")
        document = {"rule_files": [rules], "evaluation_interval": "1m", "tests": [test]}
        path = tmp_path / "alerts.yml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        found = subprocess.run([promtool, "test", "rules", str(path)], check=False, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr

    return run


def _query(boards: Boards, panels: list[Panel], title: str) -> str:
    (panel,) = (one for one in panels if (one.board, one.title) == ("alerts", title))
    return fill_in(panel.expressions[0], default_values(boards["alerts"]))


def test_each_alert_is_one_row_with_all_that_is_known_of_it(
    ask: Any, boards: Boards, panels: list[Panel], checkout: Path
):
    """Severity, value with its unit, since when (in milliseconds), what about, where its panel is and from when on."""
    errors = (
        '{alertname="ApiErrorsHigh",service="shop",severity="critical",value="16.2 %",summary="Failed requests",'
        'dashboard="%s",from="-1200000"}'
    )
    pools = (
        '{alertname="DatabasePoolNearlyFull",service="shop",severity="warning",value="90 %",'
        'summary="Connection pool used",dashboard="%s",from="-1500000"}'
    )
    shown = json.loads((checkout / "grafana" / "panels.json").read_text(encoding="utf-8"))["signals"]
    places = {signal: f"/d/{at['uid']}?viewPanel={at['panel']}&" for signal, at in shown.items()}
    ask(
        {
            f"round({_query(boards, panels, 'Firing alerts')})": {
                errors.replace("%s", places["error_ratio"]): 20 * 60_000,
                pools.replace("%s", places["db_pool_used_ratio"]): 5 * 60_000,
                '{alertname="Own",service="shop",severity="warning",from="0"}': 30 * 60_000,
            }
        }
    )


def test_every_board_counts_the_same_alerts(ask: Any, boards: Boards, panels: list[Panel]):
    """A critical alert is no warning as well; two pools are one alert, as they are one message."""
    table = _query(boards, panels, "Firing alerts")
    ask(
        {
            _query(boards, panels, "Critical"): {"{}": 1},
            _query(boards, panels, "Warnings"): {"{}": 2},
            _query(boards, panels, "Pending"): {"{}": 1},
            f"count({table})": {"{}": 3},
            f"count({FIRING['critical']})": {"{}": 1},
            f"count({FIRING['warning']})": {"{}": 2},
        }
    )


def test_nothing_fires(ask: Any, boards: Boards, panels: list[Panel]):
    """Counts are 0, and the table is empty: its text says so."""
    none = {name: "0x60" for name in SERIES if not name.startswith("ALERTS")}
    zero = {"{}": 0.0}
    counts = {_query(boards, panels, title): zero for title in ("Critical", "Warnings", "Pending")}
    ask({**counts, _query(boards, panels, "Firing alerts"): {}}, none)


def test_every_row_and_series_leads_on(panels: list[Panel]):
    """From an alert to its runbook, to its panel at that time and to a silence of exactly this alert."""
    (table,) = (one for one in panels if (one.board, one.title) == ("alerts", "Firing alerts"))
    (column,) = (one for one in table.json["fieldConfig"]["overrides"] if one["matcher"]["options"] == "Alert")
    (links,) = (one["value"] for one in column["properties"] if one["id"] == "links")
    alert = {link["title"]: link["url"] for link in links}
    assert alert["Open the runbook"].startswith("${prometheus_url}/user/runbook.html#")
    assert "from=${__data.fields.from}&to=now" in alert["Open its panel at that time"]
    assert alert["Silence it"].startswith("${inbox_url}/silences/new?filter=%7Balertname%3D%22")
    without = [
        one.title
        for one in panels
        if one.board == "alerts" and one.kind != "table" and not one.json["fieldConfig"]["defaults"].get("links")
    ]
    assert without == []


@pytest.mark.parametrize(
    ("title", "job"), [("Silenced", "alertmanager"), ("Not delivered", "alertmanager"), ("Last heartbeat", "inbox")]
)
def test_a_figure_says_which_program_is_down(ask: Any, boards: Boards, panels: list[Panel], title: str, job: str):
    """Frozen or killed for two minutes: no last value remains, and the program's name stands in its place."""
    (panel,) = (one for one in panels if (one.board, one.title) == ("alerts", title))
    figure, down = (fill_in(one, default_values(boards["alerts"])) for one in panel.expressions)
    series = {
        f'up{{job="{job}",instance="a"}}': "1x38 0x20",
        'alertmanager_silences{state="active"}': "2x38",
        "alertmanager_notifications_failed_total": "0+1x38",
        "inbox_last_heartbeat_timestamp_seconds": "1+60x38",
    }
    ask({figure: {}, down: {"{}": 1}}, series)
    assert f"{job} down" in str(panel.json["fieldConfig"]["overrides"])


def test_every_alert_leads_to_a_board_that_knows_its_variables(checkout: Path, boards: Boards):
    """A service to a board of services, a machine to the board of machines, each by the variable that chooses it."""
    wrong = []
    for file in sorted((checkout / "prometheus" / "alerts").glob("*.yml")):
        rules = [
            rule for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
        ]
        for rule in rules:
            address = urlsplit(rule["annotations"]["dashboard"])
            board = boards[address.path.removeprefix("/d/")]
            known = {f"var-{variable['name']}" for variable in board["templating"]["list"]} | {"viewPanel"}
            panels = {str(panel["id"]) for panel in board["panels"]}
            asked = dict(parse_qsl(address.query))
            if not set(asked) <= known or not {asked.get("viewPanel", "1")} <= panels:
                wrong.append((rule["alert"], rule["annotations"]["dashboard"]))
    assert wrong == []
