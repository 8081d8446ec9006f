"""The three states of a figure, by Prometheus's own engine over series made by hand: a value, no data, or down."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop_boards.model.selection import SERVING
from perfloop_boards.watches import ANALYZER, ANALYZER_DOWN, SERVICES, component, or_silent
from tests.grafana.boards import fill_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfloop_boards.watches import Watch

SERVED = 'service:http_server_requests:rate1m{service="shop"}'
BUDGET = 'service_slo:slo_error_budget_left:ratio{service="shop"}'  # goes on for thirty days after its service
SHOP = 'up{job="services",service="shop",instance="shop:8000"}'
ANOTHER = 'up{job="services",service="shop",instance="shop:8001"}'
CART = 'up{job="demo",service="cart",instance="cart:8000"}'
OWN_JOB = 'up{job="shop-api",service="shop",instance="shop:8000"}'
REDIS = 'up{job="redis",service="redis",instance="redis:9121"}'
CALLS = 'gen_ai_server_request_duration_seconds_count{service="shop",gen_ai_request_model="m"}'
ENGINE_UP = 'up{job="services",service="vllm",instance="vllm:8000"}'
ENGINE = 'vllm:num_requests_running{service="vllm",model_name="m"}'
SCORE = 'perfloop_health_score{service="overall"}'
ANALYZED = 'up{job="analyzer",service="analyzer",instance="analyzer:19110"}'
INBOX = component("inbox")


@dataclass(frozen=True)
class Case:
    """Series by the minute, as promtool writes them, and what a figure of value 0.9 shows then.

    Attributes:
        at: the minute that is asked for; everything was healthy for the first ten.
        shown: whether the figure has its value.
        down: how many stand as down beside it or in its place.
    """

    series: Mapping[str, str]
    at: int
    shown: bool
    down: int
    watch: Watch = field(default=SERVICES)


CASES = {
    "healthy": Case({SHOP: "1x60", SERVED: "5x60"}, 30, shown=True, down=0),
    "frozen": Case({SHOP: "1x10 0x50", SERVED: "5x11 stale"}, 13, shown=False, down=1),
    "an instance of two frozen": Case({SHOP: "1x10 0x50", ANOTHER: "1x60", SERVED: "5x60"}, 13, shown=True, down=0),
    "one service of two frozen": Case({SHOP: "1x10 0x50", CART: "1x60", SERVED: "5x11 stale"}, 13, shown=True, down=1),
    "its targets gone": Case({SHOP: "1x10 stale", SERVED: "5x11 stale"}, 13, shown=False, down=1),
    "removed, an hour later": Case({SHOP: "1x10 stale", SERVED: "5x11 stale"}, 75, shown=False, down=0),
    "dead for a weekend": Case({SHOP: "1x10 0x4400", SERVED: "5x11 stale"}, 4_000, shown=False, down=1),
    "frozen, of a job of its own": Case({OWN_JOB: "1x10 0x200", SERVED: "5x11 stale"}, 90, shown=False, down=1),
    "no request yet": Case({SHOP: "1x60"}, 30, shown=True, down=0),
    "models frozen": Case({SHOP: "1x10 0x50", CALLS: "5x11 stale"}, 13, shown=False, down=1, watch=SERVING),
    "models answer, a shop does not": Case(
        {CART: "1x10 0x50", SHOP: "1x60", CALLS: "5x60"}, 13, shown=True, down=0, watch=SERVING
    ),
    "an engine frozen": Case({ENGINE_UP: "1x10 0x50", ENGINE: "5x11 stale"}, 13, shown=False, down=1, watch=SERVING),
    "an exporter that serves nobody": Case({REDIS: "1x10 0x50", SHOP: "1x60", SERVED: "5x60"}, 13, shown=True, down=0),
    "nothing was ever there": Case({}, 30, shown=False, down=0),
    "analyzer healthy": Case({ANALYZED: "1x60", SCORE: "95x60"}, 30, shown=True, down=0, watch=ANALYZER),
    "analyzer frozen": Case({ANALYZED: "1x10 0x50", SCORE: "95x10 stale"}, 13, shown=False, down=1, watch=ANALYZER),
    "analyzer without a result": Case(
        {ANALYZED: "1x60", SCORE: "95x10 stale"}, 13, shown=False, down=1, watch=ANALYZER
    ),
    "no analyzer": Case({}, 30, shown=False, down=0, watch=ANALYZER),
    "component healthy": Case({'up{job="inbox",instance="inbox:1"}': "1x60"}, 30, shown=True, down=0, watch=INBOX),
    "component down": Case({'up{job="inbox",instance="inbox:1"}': "0x60"}, 30, shown=False, down=1, watch=INBOX),
    "no component": Case({}, 30, shown=False, down=0, watch=INBOX),
}


def _write_test(case: Case, series: Mapping[str, str]) -> dict[str, Any]:
    asked = {
        case.watch.guard(BUDGET): [0.9] if case.shown else [],
        f"{case.watch.down} > 0": [case.down] if case.down else [],
    }
    labels = (f"{BUDGET}" if case.shown else "", "{}")
    questions = [
        {
            "expr": fill_in(expression, {"service": ".*"}),
            "eval_time": f"{case.at}m",
            "exp_samples": [{"labels": of, "value": value} for value in values],
        }
        for (expression, values), of in zip(asked.items(), labels, strict=True)
    ]
    made = [{"series": name, "values": values} for name, values in series.items()]
    return {"interval": "1m", "input_series": made, "promql_expr_test": questions}


@pytest.mark.parametrize("name", CASES)
def test_a_figure_has_its_value_or_nothing_or_says_what_is_down(promtool: str, tmp_path: Path, name: str):
    """Down is seen when scrapes fail and when targets vanish; what was removed on purpose is not down for ever."""
    case = CASES[name]
    test = _write_test(case, {BUDGET: "0.9x5000", **case.series})
    _run(promtool, tmp_path, test)


def _run(promtool: str, directory: Path, test: dict[str, Any]) -> None:
    path = directory / "states.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
    found = subprocess.run([promtool, "test", "rules", str(path)], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


LAST = "perfloop_analyzer_last_success_timestamp_seconds"
PENALTY = 'perfloop_health_penalty{service="shop",signal="error_ratio"}'
FOUND = '{service="shop",signal="error_ratio"}'
DOWN_ROW = f'{{signal="{ANALYZER_DOWN}"}}'
# By state of the analyzer: the rows, and the time in milliseconds of those that have one.
TABLES = {
    "healthy with a finding": ({SCORE: "70x60", LAST: "600x60", PENALTY: "30x60"}, [FOUND], {FOUND: 30}),
    "healthy without one": ({SCORE: "100x60", LAST: "600x60"}, [], {}),
    "frozen": (
        {SCORE: "70x10 stale", LAST: "600x10 stale", PENALTY: "30x10 stale"},
        [DOWN_ROW],
        {DOWN_ROW: 600_000},
    ),
    "without any result yet": ({LAST: "0x60"}, [DOWN_ROW], {}),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_findings_says_that_the_analyzer_is_down(promtool: str, tmp_path: Path, name: str):
    """While it has no result a row says so, with the time of the last one; an empty table means: nothing is wrong."""
    series, rows, times = TABLES[name]
    found = "max by (service, signal) (perfloop_health_penalty)"
    asked = {
        f"group by (service, signal) ({or_silent(found, 'signal')})": dict.fromkeys(rows, 1),
        f"({or_silent(found, 'signal', time=True)}) > 0": times,  # no number is greater than 0 where there is no time
    }
    questions = [
        {
            "expr": expr,
            "eval_time": "20m",
            "exp_samples": [{"labels": of, "value": value} for of, value in expected.items()],
        }
        for expr, expected in asked.items()
    ]
    made = [{"series": name, "values": values} for name, values in series.items()]
    _run(promtool, tmp_path, {"interval": "1m", "input_series": made, "promql_expr_test": questions})
