"""The catalogue: strict files, limits from one home, the user's additions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.catalog.loading import Limits
from perfloop_base.errors import ConfigError
from perfloop_base.slos import read_slos
from perfloop_base.thresholds import read_thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_analyzer.catalog import Signal

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


def _file(directory: Path, text: str) -> Path:
    path = directory / "mine.yml"
    path.write_text(text)
    return path


def _limited(path: Path) -> dict[str, Signal]:
    """The catalogue by name, with the limits of a thresholds.yml."""
    return {signal.name: signal for signal in load_catalog((), Limits(read_thresholds(path)))}


def test_shipped_catalogue_has_every_signal_of_the_thresholds(checkout: Path) -> None:
    """Each signal of thresholds.yml is read under the same title, with its numbers, component and direction."""
    thresholds = read_thresholds(checkout / "prometheus" / "thresholds.yml")
    titles = {signal.name: signal.title for signal in load_catalog()}
    table = {signal.name: signal for signal in load_catalog((), Limits(thresholds))}
    assert {entry.name for entry in thresholds.signals} == WIRE
    for entry in thresholds.signals:
        signal = table[entry.name]
        numbers = {"warning": signal.limit.warning, "critical": signal.limit.critical}
        assert entry.limits == {name: value for name, value in numbers.items() if value is not None}, entry.name
        assert entry.title == titles[entry.name] == signal.title
        assert (entry.component, entry.direction) == (signal.component, signal.direction), entry.name


def test_without_a_file_the_shipped_limits_hold(checkout: Path) -> None:
    """The catalogue's own numbers are those of the shipped thresholds.yml and slos.yml."""
    directory = checkout / "prometheus"
    limits = Limits(read_thresholds(directory / "thresholds.yml"), read_slos(directory / "slos.yml"))
    alone = {signal.name: signal.limit for signal in load_catalog()}
    shipped = load_catalog((), limits)
    assert {one.name: one.limit for one in shipped if one.name in alone and one.limit != alone[one.name]} == {}


def test_a_signal_takes_the_numbers_of_its_alert(checkout: Path, tmp_path: Path) -> None:
    """A changed limit of an alert changes the analyzer's; a severity that the alert does not have stays."""
    path = tmp_path / "thresholds.yml"
    path.write_text("signals: []\nlimits: {LlmPreemptions: {warning: 0.3, for: 1m, owner: model}}\n")
    limit = _limited(path)["vllm_preemption_rate"].limit
    assert (limit.warning, limit.critical) == (0.3, 1.0)
    alerts = read_thresholds(checkout / "prometheus" / "thresholds.yml").alerts
    assert [one.name for one in load_catalog() if one.alert and one.alert not in alerts] == []


def test_objectives_give_budgets_and_warnings(checkout: Path, tmp_path: Path) -> None:
    """An objective of slos.yml is the goal of the error ratio, and the p95 warns at the limit of its objective."""
    text = (checkout / "prometheus" / "slos.yml").read_text(encoding="utf-8")
    changed = text.replace("objective: 0.999", "objective: 0.99").replace("within: 1\n", "within: 3\n")
    assert text != changed
    path = _file(tmp_path, changed)
    thresholds = read_thresholds(checkout / "prometheus" / "thresholds.yml")
    table = {one.name: one.limit for one in load_catalog((), Limits(thresholds, read_slos(path)))}
    assert (table["error_ratio"].goal, table["error_ratio"].warning) == (0.01, 0.05)
    assert (table["time_to_first_token_p95"].warning, table["time_per_output_token_p95"].warning) == (3.0, 0.1)


def test_an_entry_without_a_critical_limit_has_none(tmp_path: Path, build: Any) -> None:
    """A severity that thresholds.yml leaves out is not judged, whatever the catalogue has."""
    entry = build.threshold(signal="cpu_used_ratio", title="CPU used", unit="ratio", warning=0.5, critical=None)
    path = _file(tmp_path, build.thresholds(entry))
    limit = _limited(path)["cpu_used_ratio"].limit
    assert (limit.warning, limit.critical, limit.capacity) == (0.5, None, 1.0)


def test_titles_units_and_expressions_are_given() -> None:
    """Nothing that a person reads is left empty."""
    for signal in load_catalog():
        assert signal.title, signal.name
        assert signal.unit, signal.name
        assert "\n" not in signal.expr


def test_every_expression_is_promql(promtool: str, checkout: Path, tmp_path: Path) -> None:
    """The real promtool accepts every expression as a recording rule, those of overridden routes and of parts too."""
    import subprocess

    catalog = load_catalog((), Limits(read_thresholds(checkout / "prometheus" / "thresholds.yml")))
    exprs = [signal.query("1m") for signal in catalog]
    exprs += [signal.parts.query("1m") for signal in catalog if signal.parts]
    rules = [{"record": f"check:n{at}", "expr": expr} for at, expr in enumerate(exprs)]
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


def test_a_threshold_without_an_entry_becomes_a_signal(tmp_path: Path, build: Any) -> None:
    """An entry that the user adds to thresholds.yml is analyzed without a second file, by its recorded series."""
    path = _file(tmp_path, build.thresholds(build.threshold(signal="lag", record="my:lag", warning=5)))
    signal = _limited(path)["lag"]
    assert (signal.expr, signal.limit.warning, signal.limit.critical) == ("my:lag", 5, 20)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "signals:\n- {name: a, expr: x, component: c, kind: use, detekt: []}\n",
            "mine.yml:2: unknown field 'signals.0.detekt'; did you mean 'detect'?",
        ),
        (
            "signals:\n- name: a\n  expr: x\n  component: c\n  kind: use\n  limit: {warn: 1}\n",
            "mine.yml:6: unknown field 'signals.0.limit.warn'; did you mean 'warning'?",
        ),
        ("signals:\n- {name: a, component: c, kind: use}\n", "mine.yml:2: field 'signals.0.expr' is missing"),
        (
            "signals:\n- name: a\n  expr: x\n  component: c\n  kind: maybe\n",
            "mine.yml:5: field 'signals.0.kind' has value 'maybe': input should be 'red' or 'use'",
        ),
        ("signals: [\n", "mine.yml:1: not valid YAML"),
        ("signals:\n- {name: a, expr: 'sum(', component: c, kind: use}\n", "signal a: expr is not PromQL"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, text: str, sentence: str) -> None:
    """The sentence names the file, the field and the value."""
    with pytest.raises(ConfigError) as caught:
        load_catalog([_file(tmp_path, text)])
    assert sentence in str(caught.value)
    assert "mine.yml" in str(caught.value)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    """Nobody has to start three times to learn of three mistakes."""
    path = _file(tmp_path, "signals:\n- {name: A, expr: '', component: c, kind: use}\n")
    with pytest.raises(ConfigError) as caught:
        load_catalog([path, tmp_path / "absent.yml"])
    assert len(caught.value.problems) == 3


OVERRIDES = """overrides:
- {signal: api_response_time_p95, route: /v1/chat, warning: 15, critical: 30}
- {signal: api_response_time_p95, service: batch, warning: 9}
"""


def test_overrides_of_routes_and_services_are_taken(tmp_path: Path, build: Any) -> None:
    """A route with its own limits is excluded from the service's figure and judged beside it; a service has its own."""
    name = "api_response_time_p95"
    entry = build.threshold(signal=name, warning=1, critical=2, record_by_route="by_route")
    table = _limited(_file(tmp_path, build.thresholds(entry, rest=OVERRIDES)))
    usual, route = table[name], table[f"{name}@/v1/chat"]
    metric = "http_server_request_duration_seconds_bucket"
    assert f'unless {metric}{{http_route="/v1/chat"}}' in usual.query("1m")
    assert f'rate({metric}{{http_route="/v1/chat"}}[1m])' in route.query("1m")
    assert (route.limit.warning, route.limit.critical) == (15, 30)
    assert [usual.limit_of(name).warning for name in ("shop", "batch")] == [1, 9]
    assert usual.limit_of("batch").critical is None
