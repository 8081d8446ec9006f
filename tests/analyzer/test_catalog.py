"""The catalogue: strict files, limits from one home, the user's additions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop_analyzer.catalog import load_catalog, read_thresholds
from perfloop_analyzer.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

WIRE = {
    "api_response_time_p95",
    "timeout_ratio",
    "error_ratio",
    "db_query_time_p95",
    "db_pool_used_ratio",
    "model_inference_time_p95",
    "cpu_used_ratio",
    "memory_used_ratio",
    "disk_io_bytes_per_second",
    "network_io_bytes_per_second",
    "cache_hit_ratio",
    "vector_search_time_p95",
}


def _file(folder: Path, text: str) -> Path:
    path = folder / "mine.yml"
    path.write_text(text)
    return path


def test_shipped_catalogue_has_every_signal_of_the_thresholds(checkout: Path) -> None:
    """Each signal with a limit is watched, and takes the numbers of thresholds.yml."""
    thresholds = read_thresholds(checkout / "prometheus" / "thresholds.yml")
    table = {signal.name: signal for signal in load_catalog((), thresholds)}
    assert set(table) >= WIRE
    for name in WIRE & set(thresholds.signals):
        entry = thresholds.signals[name]
        assert entry.warning == table[name].limit.warning, name
        assert entry.component == table[name].component, name
        assert entry.direction == table[name].direction, name


def test_without_a_file_the_shipped_limits_hold(checkout: Path) -> None:
    """The catalogue judges by itself as the shipped thresholds.yml does: the numbers of both are the same."""
    shipped = load_catalog((), read_thresholds(checkout / "prometheus" / "thresholds.yml"))
    alone = {signal.name: signal.limit for signal in load_catalog()}
    assert {one.name: one.limit for one in shipped if one.name in alone and one.limit != alone[one.name]} == {}


def test_a_signal_takes_the_numbers_of_its_alert(checkout: Path, tmp_path: Path) -> None:
    """Who changes an alert's limit changes the analyzer's; what the alert does not say stays the catalogue's."""
    path = tmp_path / "thresholds.yml"
    path.write_text("limits: {LlmPreemptions: {warning: 0.3, for: 1m, owner: model}}\n")
    table = {signal.name: signal for signal in load_catalog((), read_thresholds(path))}
    assert (table["vllm_preemption_rate"].limit.warning, table["vllm_preemption_rate"].limit.critical) == (0.3, 1.0)
    alerts = read_thresholds(checkout / "prometheus" / "thresholds.yml").alerts
    assert [one.name for one in load_catalog() if one.alert and one.alert not in alerts] == []


def test_first_and_further_tokens_are_judged_as_by_their_objectives(checkout: Path) -> None:
    """The p95 warns where an objective of 95 % starts to break."""
    slos = yaml.safe_load((checkout / "prometheus" / "slos.yml").read_text(encoding="utf-8"))["slos"]
    within = {one["slo"]: (one["within"], one["objective"]) for one in slos if "within" in one}
    table = {signal.name: signal.limit.warning for signal in load_catalog()}
    assert within["first_token"] == (table["time_to_first_token_p95"], 0.95)
    assert within["inter_token"] == (table["time_per_output_token_p95"], 0.95)


def test_titles_units_and_expressions_are_given() -> None:
    """Nothing that a person reads is left empty."""
    for signal in load_catalog():
        assert signal.title, signal.name
        assert signal.unit, signal.name
        assert "\n" not in signal.expr


def test_every_expression_is_promql(promtool: str, checkout: Path, tmp_path: Path) -> None:
    """The real promtool accepts every expression as a recording rule, those of overridden routes too."""
    import subprocess

    catalog = load_catalog((), read_thresholds(checkout / "prometheus" / "thresholds.yml"))
    rules = [{"record": f"check:n{at}", "expr": signal.query("1m")} for at, signal in enumerate(catalog)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "catalogue", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_users_file_adds_and_replaces(tmp_path: Path) -> None:
    """A later entry of the same name wins."""
    path = _file(
        tmp_path,
        "signals:\n- {name: queue_depth, expr: sum(my_queue), component: queue, kind: use, limit: {warning: 9}}\n"
        "- {name: cpu_used_ratio, expr: my_cpu, component: cpu, kind: use}\n",
    )
    table = {signal.name: signal for signal in load_catalog([path])}
    assert table["queue_depth"].limit.warning == 9
    assert table["cpu_used_ratio"].expr == "my_cpu"


def test_a_threshold_without_an_entry_becomes_a_signal(tmp_path: Path) -> None:
    """A limit that the user adds is watched without a second file."""
    path = _file(
        tmp_path, "signals:\n- {signal: lag, component: queue, kind: use, unit: seconds, warning: 5, expr: my_lag}\n"
    )
    table = {signal.name: signal for signal in load_catalog((), read_thresholds(path))}
    assert (table["lag"].expr, table["lag"].limit.warning) == ("my_lag", 5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("signals:\n- {name: a, expr: x, component: c, kind: use, colour: red}\n", "unknown field 'signals.0.colour'"),
        ("signals:\n- {name: a, component: c, kind: use}\n", "field 'signals.0.expr' is missing"),
        ("signals:\n- {name: a, expr: x, component: c, kind: maybe}\n", "field 'signals.0.kind' has value 'maybe'"),
        ("signals: [\n", "is not valid YAML"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, text: str, sentence: str) -> None:
    """The sentence names the file, the field and the value."""
    with pytest.raises(ConfigError) as caught:
        load_catalog([_file(tmp_path, text)])
    assert sentence in str(caught.value)
    assert "mine.yml" in str(caught.value)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """Nobody has to start three times to learn of three mistakes."""
    path = _file(tmp_path, "signals:\n- {name: A, expr: '', component: c, kind: use}\n")
    with pytest.raises(ConfigError) as caught:
        load_catalog([path, tmp_path / "absent.yml"])
    assert len(caught.value.problems) == 3


def test_a_signal_listed_twice_in_the_thresholds_is_an_error(tmp_path: Path) -> None:
    """Two limits for one signal are none."""
    path = _file(tmp_path, "signals:\n- {signal: a, warning: 1}\n- {signal: a, warning: 2}\n")
    with pytest.raises(ConfigError, match="signal 'a' is listed more than once"):
        read_thresholds(path)


OVERRIDES = """
signals: [{signal: api_response_time_p95, warning: 1, critical: 2}]
overrides:
- {signal: api_response_time_p95, route: /v1/chat, warning: 15, critical: 30}
- {signal: api_response_time_p95, service: batch, warning: 9}
"""


def test_overrides_of_routes_and_services_are_taken(tmp_path: Path) -> None:
    """A route with its own limits leaves the service's figure and is judged beside it; a service has its own limits."""
    path = tmp_path / "thresholds.yml"
    path.write_text(OVERRIDES)
    table = {signal.name: signal for signal in load_catalog((), read_thresholds(path))}
    usual, route = table["api_response_time_p95"], table["api_response_time_p95@/v1/chat"]
    metric = "http_server_request_duration_seconds_bucket"
    assert f'unless {metric}{{http_route="/v1/chat"}}' in usual.query("1m")
    assert f'rate({metric}{{http_route="/v1/chat"}}[1m])' in route.query("1m")
    assert (route.limit.warning, route.limit.critical) == (15, 30)
    assert [usual.limit_of(name).warning for name in ("shop", "batch")] == [1, 9]
    assert usual.limit_of("batch").critical == 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{signal: api_response_time_p95, warning: 3}", "names neither a service nor a route"),
        ("{signal: nothing, service: shop, warning: 3}", "an override is for 'nothing', which is no signal"),
        ("{signal: api_response_time_p95, service: shop, warn: 3}", "unknown field 'overrides.2.warn'"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    """One sentence with the file and the field."""
    path = tmp_path / "thresholds.yml"
    path.write_text(f"{OVERRIDES}- {line}\n")
    with pytest.raises(ConfigError, match=sentence):
        read_thresholds(path)
