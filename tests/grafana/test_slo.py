"""The board of objectives, by Prometheus's own engine over series made by hand: states, burn rates and causes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop_boards.generation import generate
from tests.grafana.boards import Panel, default_values, fill_in

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOP = 'service="shop",slo="availability"'
UP = 'up{job="services",service="shop",instance="shop:8000"}'
# By the minute: an objective with its budget half used, and a burn rate of 2.
RECORDED = {
    UP: "1x60",
    f"service_slo:slo_objective:ratio{{{SHOP}}}": "0.999x60",
    f"service_slo:slo_error_budget_left:ratio{{{SHOP}}}": "0.5x60",
    f"service_slo:slo_window:seconds{{{SHOP}}}": "172800x60",
    f"service_slo:slo_errors:ratio_rate1h{{{SHOP}}}": "0.002x60",
    f"service_slo:slo_errors:ratio_rate30d{{{SHOP}}}": "0.0005x60",
    f"service_slo:slo_budget_gone:seconds{{{SHOP}}}": "648000x60",
}
PAGE = (
    'ALERTS{alertname="AvailabilityBudgetBurning",alertstate="firing",severity="critical",category="slo",' + SHOP + "}"
)
TICKET = PAGE.replace("critical", "warning")
SPENT = f"service_slo:slo_error_budget_left:ratio{{{SHOP}}}"
OBJECTIVES, CAUSES = "Objectives and their budgets", "Bad events by cause"
# One of the user's own, over series that no other objective counts.
OWN = """
  - slo: quick_queries
    title: Queries within $within
    alert: QuickQueriesBudgetBurning
    objective: 0.9
    within: 0.25
    component: database
    owner: database
    total: sum by(service)(rate(db_client_operation_duration_seconds_count[$window]))
    good: sum by(service)(rate(db_client_operation_duration_seconds_bucket{$within}[$window]))
"""


@pytest.fixture(scope="module")
def board(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The board of a configuration with an objective of the user's own."""
    root = tmp_path_factory.mktemp("configuration")
    for name in ("prometheus", "grafana"):
        shutil.copytree(checkout / name, root / name, ignore=shutil.ignore_patterns("perfloop_*"))
    slos = root / "prometheus" / "slos.yml"
    slos.write_text(slos.read_text(encoding="utf-8") + OWN, encoding="utf-8")
    made: dict[str, Any] = json.loads(generate(root)[Path("dashboards/slo.json")])
    return made


def queries(board: Mapping[str, Any], title: str) -> list[str]:
    """The queries of a panel, everything chosen."""
    (panel,) = (one for one in board["panels"] if one["title"] == title)
    return [fill_in(one, default_values(dict(board))) for one in Panel("slo", panel).expressions]


@pytest.fixture
def check(promtool: str, tmp_path: Path) -> Any:
    """Ask Prometheus's engine at the thirtieth minute of the series, and compare, to three digits."""

    def run(series: Mapping[str, str], query: str, expected: Mapping[str, float]) -> None:
        samples = [{"labels": f"{{{labels}}}", "value": value} for labels, value in expected.items()]
        asked = {"expr": f"round({query}, 0.001)", "eval_time": "30m", "exp_samples": samples}
        made = [{"series": name, "values": values} for name, values in series.items()]
        test = {"interval": "1m", "input_series": made, "promql_expr_test": [asked]}
        path = tmp_path / "slo.yml"
        path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
        found = subprocess.run([promtool, "test", "rules", str(path)], check=False, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr

    return run


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, 0),
        ({f"service_slo:slo_errors:ratio_rate1h{{{SHOP}}}": "0.5x60"}, 0),
        ({f"service_slo:slo_errors:ratio_rate{window}{{{SHOP}}}": "0.5x60" for window in ("1h", "5m")}, 0.5),
        ({TICKET: "1x60"}, 1),
        ({PAGE: "1x60"}, 2),
        ({PAGE: "1x60", TICKET: "1x60"}, 2),
        ({SPENT: "-0.2x60"}, 3),
        ({SPENT: "-0.2x60", PAGE: "1x60"}, 2),
        ({UP: "1x10 0x50", PAGE: "1x60"}, 4),
        ({UP: "1x10 0x50", f"service_slo:slo_objective:ratio{{{SHOP}}}": "0.999x10 stale"}, 4),
    ],
)
def test_each_objective_has_its_state(check: Any, board: dict[str, Any], more: dict[str, str], state: float):
    """Down before page before spent before ticket before burning before met: a dead service keeps no promise."""
    check(RECORDED | more, queries(board, OBJECTIVES)[1], {SHOP: state})


@pytest.mark.parametrize(("position", "value"), [(2, 172800), (3, 0.9995), (4, 0.5), (5, 2), (7, 648_000)], ids=str)
def test_the_row_has_its_figures(check: Any, board: dict[str, Any], position: int, value: float):
    """Window, availability, budget left, burn rate and the time until the budget is gone."""
    check(RECORDED, queries(board, OBJECTIVES)[position], {SHOP: round(value, 3)})


def test_objectives_have_titles_and_alerts(check: Any, board: dict[str, Any]):
    """The user's own, too; one that slos.yml no longer has stays without them for a day."""
    series = {
        f'service_slo:slo_objective:ratio{{service="shop",slo="{slo}"}}': "0.9x60"
        for slo in ("availability", "quick_queries", "gone")
    }
    expected = {
        SHOP + ',title="Requests answered without a server error",alert="AvailabilityBudgetBurning"': 0.9,
        'service="shop",slo="quick_queries",title="Queries within 250 ms",alert="QuickQueriesBudgetBurning"': 0.9,
        'service="shop",slo="gone"': 0.9,
    }
    check(series, f"({queries(board, OBJECTIVES)[0]})", expected)


def _objective(slo: str) -> dict[str, str]:
    return {f'service_slo:slo_objective:ratio{{service="shop",slo="{slo}"}}': "0.9x60"}


HTTP = "http_server_request_duration_seconds_count"
FAILING = {
    f'{HTTP}{{service="shop",http_route="/report",http_response_status_code="500"}}': "0+54x60",
    f'{HTTP}{{service="shop",http_route="/report",http_response_status_code="200"}}': "0+54x60",
    f'{HTTP}{{service="shop",http_route="/",http_response_status_code="500"}}': "0+6x60",
    f'{HTTP}{{service="shop",http_route="/",http_response_status_code="200"}}': "0+114x60",
    f'{HTTP}{{service="shop",http_route="/fine",http_response_status_code="200"}}': "0+600x60",
}
SLOW = {
    f'db_client_operation_duration_seconds_{what}service="shop",db_system_name="{name}"}}': f"0+{count}x60"
    for name, quick, slow in (("postgresql", 30, 30), ("redis", 60, 0))
    for what, count in (("count{", quick + slow), ('bucket{le="0.25",', quick))
}
FIRST = "gen_ai_server_time_to_first_token_seconds"
LATE = {
    f'{FIRST}_count{{service="shop",gen_ai_request_model="small"}}': "0+60x60",
    f'{FIRST}_bucket{{service="shop",gen_ai_request_model="small",le="1.0"}}': "0+45x60",
    'vllm:time_to_first_token_seconds_count{service="shop",model_name="large"}': "0+60x60",
    'vllm:time_to_first_token_seconds_bucket{service="shop",model_name="large",le="1"}': "0+15x60",
}


@pytest.mark.parametrize(
    ("slo", "series", "causes"),
    [
        ("availability", FAILING, {"/report": (0.9, 3240, 0.5), "/": (0.1, 360, 0.05)}),
        ("quick_queries", SLOW, {"postgresql": (1, 1800, 0.5)}),
        ("first_token", LATE, {"small": (0.25, 900, 0.25), "large": (0.75, 2700, 0.75)}),
    ],
)
def test_what_burns_the_budget_is_named(
    check: Any, board: dict[str, Any], slo: str, series: dict[str, str], causes: dict[str, tuple[float, ...]]
):
    """Routes, models and databases with their share of the bad events, bad events per hour, share of their own."""
    for position, query in enumerate(queries(board, CAUSES)):
        expected = {
            f'service="shop",slo="{slo}",cause="{cause}"': figures[position] for cause, figures in causes.items()
        }
        check(series | _objective(slo), f"({query})", expected)


def test_a_row_leads_to_what_it_names(board: dict[str, Any]):
    """Objective to its detail, alert to its runbook and to the Alerts board, service to its board, at the same time."""
    (table,) = (one for one in board["panels"] if one["title"] == OBJECTIVES)
    links = {
        override["matcher"]["options"]: [
            link["url"] for one in override["properties"] if one["id"] == "links" for link in one["value"]
        ]
        for override in table["fieldConfig"]["overrides"]
    }
    (alone,) = links["Objective"]
    assert alone.startswith("/d/slo?${__url_time_range}")
    assert 'var-service=${__data.fields["Service"]}' in alone
    assert 'var-slo=${__data.fields["Objective"]}' in alone
    assert links["Service"] == ['/d/service?${__url_time_range}&var-service=${__data.fields["Service"]}']
    runbook, alert = links["Alert"]
    assert runbook == '${prometheus_url}/user/runbook.html#${__data.fields["Alert"]}'
    assert alert == '/d/alerts?${__url_time_range}&var-alertname=${__data.fields["Alert"]}'
