"""The Helm chart without Helm: its files follow from the configuration, its values from the schema."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft7Validator

from perfloop.stack import helm_chart, helm_configs, helm_values
from perfloop_base.errors import ConfigError
from perfloop_base.scaling import ServiceScaling
from perfloop_loadgen.config import LoadTestConfig
from tests.support import current_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
CHART = CHECKOUT / helm_chart.CHART
FILES = CHART / "files"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
SETS = sorted((CHART / "ci").glob("*-values.yaml"))
MOST_BYTES = 1 << 20


def _merge(base: Any, over: Any) -> Any:
    """Return values as Helm merges them: maps by key, all else replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {
        key: _merge(base[key], over[key]) if key in base and key in over else (base | over)[key] for key in base | over
    }


def _problems(values: Any) -> list[str]:
    return [one.message for one in Draft7Validator(SCHEMA).iter_errors(values)]


def _objects(schema: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of the schema that has values of its own."""
    schema = helm_values.resolve(SCHEMA, schema)
    if schema.get("properties"):
        yield where, schema
        for name, below in schema["properties"].items():
            yield from _objects(below, f"{where}.{name}")
    if "items" in schema:
        yield from _objects(schema["items"], f"{where}[]")


def _at(path: str) -> Any:
    found = VALUES
    for name in path.strip(".").split(".") if path.strip(".") else ():
        found = found.get(name, {}) if isinstance(found, dict) else {}
    return found


def test_the_defaults_are_valid() -> None:
    """By the schema that Helm checks them with."""
    assert _problems(VALUES) == []


def test_the_schema_is_one() -> None:
    """By the schema of schemas."""
    Draft7Validator.check_schema(SCHEMA)


def test_every_default_is_in_the_schema_and_required() -> None:
    """Else `null` would take a value away, and a template would fail on it."""
    for path, schema in _objects(SCHEMA):
        # What has words of its own is one value, such as requests and limits.
        if "[]" not in path and "description" not in schema:
            assert set(_at(path)) == set(schema["properties"]) - {"global"}, path
            assert set(schema["required"]) == set(_at(path)), path


def test_no_part_takes_a_value_that_does_not_exist() -> None:
    """A misspelt value is an error, wherever it is."""
    assert [path for path, schema in _objects(SCHEMA) if schema.get("additionalProperties") is not False] == []


def test_every_value_has_words() -> None:
    """The table of the page is made of them."""
    without = [
        f"{path}.{name}"
        for path, schema in _objects(SCHEMA)
        for name, below in schema["properties"].items()
        if "description" not in schema or "[]" in path
        if not helm_values.resolve(SCHEMA, below).get("description") and not below.get("properties")
    ]
    assert without == []


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_the_value_sets_are_valid(path: Path) -> None:
    """Each, merged with the defaults."""
    assert _problems(_merge(VALUES, yaml.safe_load(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"exportr": {}},
        {"analyzer": {"intervall": "10s"}},
        {"analyzer": {"interval": "10"}},
        {"analyzer": {"replicas": "2"}},
        {"analyzer": {"replicas": 0}},
        {"analyzer": {"prometheusUrl": "prometheus:9090"}},
        {"analyzer": {"prometheusUrl": "http://user:secret@prometheus"}},  # pragma: allowlist secret
        {"analyzer": {"store": {"type": "mysql"}}},
        {"analyzer": {"store": {"size": "2 GB"}}},
        {"analyzer": {"links": {"kibana": "http://kibana"}}},
        {"exporter": None},
        {"exporter": {"resources": {"limit": {"memory": "1Gi"}}}},
        {"exporter": {"resources": {"limits": {"memory": "1 GiB"}}}},
        {"image": {"repository": "", "tag": "a b"}},
        {"image": {"digest": "sha256:1"}},
        {"fullnameOverride": "Perfloop"},
        {"fullnameOverride": "a" * 39},
        {"monitoring": {"services": [{"name": "shop", "port": "http"}]}},
        {"monitoring": {"labels": {"release": True}}},
        {"loadgen": {"pods": 0}},
        {"loadgen": {"startAt": "tomorrow"}},
        {"autoscaling": {"kind": "vpa"}},
        {"autoscaling": {"services": [{"service": "a", "deployment": "B", "minReplicas": 1, "maxReplicas": 2}]}},
        {"prometheus": {"retention": {"size": "10GiB"}}},
        {"dashboards": {"datasourceUid": 'a"b'}},
        {"alertmanagerConfig": {"email": {"smarthost": "mail"}}},
    ],
    ids=lambda wrong: json.dumps(wrong)[:60],
)
def test_wrong_values_are_refused(wrong: Any) -> None:
    """Each in a sentence or two of the schema's, before anything is rendered."""
    assert _problems(_merge(VALUES, wrong)) != []


def test_the_images_are_those_of_compose() -> None:
    """Tag and digest are pinned in one place; the chart has the same."""
    compose = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    for name in ("prometheus", "alertmanager"):
        assert f"${{PERFLOOP_{name.upper()}_IMAGE:-{VALUES[name]['image']}}}" in compose


def test_bounds_of_replicas_are_those_of_the_analyzer() -> None:
    """The example of the value sets has the defaults of scaling.yml."""
    (service,) = yaml.safe_load((CHART / "ci" / "hpa-values.yaml").read_text(encoding="utf-8"))["autoscaling"][
        "services"
    ]
    assert (service["minReplicas"], service["maxReplicas"]) == (
        ServiceScaling().min_replicas,
        ServiceScaling().max_replicas,
    )


def test_the_load_test_of_the_value_sets_is_one() -> None:
    """By the load generator's own reader."""
    values = yaml.safe_load((CHART / "ci" / "loadgen-values.yaml").read_text(encoding="utf-8"))
    (test,) = yaml.safe_load(values["loadgen"]["test"])["load_tests"].values()
    LoadTestConfig.model_validate(test | {"base_url": values["loadgen"]["url"]})


def _texts() -> dict[Path, str]:
    return {path: (CHECKOUT / path).read_text(encoding="utf-8") for path in helm_chart.find_sources(CHECKOUT)}


def test_the_files_follow_from_the_configuration() -> None:
    """`perfloop generate` wrote them, and no other is there."""
    generated = helm_chart.generate(_texts())
    present = {path.relative_to(CHART): path.read_text(encoding="utf-8") for path in FILES.rglob("*") if path.is_file()}
    assert sorted(present) == sorted(generated)
    assert [str(path) for path, text in generated.items() if present[path] != text] == []


def test_the_table_of_the_page_is_current() -> None:
    """Each value with its default and its meaning."""
    (text,) = helm_values.generate(CHECKOUT).values()
    assert (CHECKOUT / helm_values.PAGE).read_text(encoding="utf-8") == text
    assert '| `analyzer.interval` | `"10s"` |' in text
    assert "| `autoscaling.services[].deployment` |" in text


def test_every_file_fits_a_config_map() -> None:
    """A ConfigMap has at most 1 MiB, and so has a release's Secret, which holds all of them, compressed."""
    for directory in ("dashboards", "rules", "alerts"):
        sizes = [path.stat().st_size for path in (FILES / directory).glob("*")]
        whole = sizes if directory == "dashboards" else [sum(sizes)]
        assert max(whole) < 0.9 * MOST_BYTES, directory


def _check(promtool: str, config: dict[str, Any], directory: Path) -> None:
    text = yaml.safe_dump(config).replace("/etc/perfloop", str(FILES))
    (directory / "prometheus.yml").write_text(text, encoding="utf-8")
    command = [promtool, "check", "config", str(directory / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rules found" in done.stdout


def test_promtool_accepts_the_rules_and_all_but_the_discovery(promtool: str, tmp_path: Path) -> None:
    """By any promtool: Debian's knows no Kubernetes."""
    config = yaml.safe_load((FILES / "prometheus.yml").read_text(encoding="utf-8"))
    for scope in [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]:
        scope["static_configs"] = [{"targets": [f"{scope.pop('kubernetes_sd_configs')[0]['role']}:1"]}]
    _check(promtool, config, tmp_path)


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    """By one of the shipped version, with the discovery."""
    promtool = current_prometheus.find_current("promtool")
    if promtool is None:
        pytest.skip(f"no promtool of Prometheus 3: {current_prometheus.HOW}")
    _check(str(promtool), yaml.safe_load((FILES / "prometheus.yml").read_text(encoding="utf-8")), tmp_path)


def test_every_job_of_the_chart_has_its_place_in_the_shipped_configuration() -> None:
    """The same jobs, with the same label `service`, so that rules and boards need no other spelling."""
    shipped = yaml.safe_load((CHECKOUT / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    made = yaml.safe_load((FILES / "prometheus.yml").read_text(encoding="utf-8"))
    names = [job["job_name"] for job in made["scrape_configs"]]
    assert set(names) == {job["job_name"] for job in shipped["scrape_configs"]} - {"demo", "grafana"}
    services = {
        job["job_name"]: rule["replacement"]
        for job in made["scrape_configs"]
        for rule in job["relabel_configs"]
        if rule.get("target_label") == "service" and "source_labels" not in rule
    }
    assert services == {name: name for name in names if name not in {"node", "services"}} | {"node": "host"}
    assert made["global"] == shipped["global"]
    assert [job for job in made["scrape_configs"] if job.get("honor_labels")] == [
        job for job in made["scrape_configs"] if job["job_name"] == "analyzer"
    ]


def test_routes_of_the_operator_are_those_of_the_shipped_file() -> None:
    """Without the heartbeat and the test alert, which are the local inbox's."""
    made = yaml.safe_load((FILES / "alertmanagerconfig.yml").read_text(encoding="utf-8"))
    routes = [(one["receiver"], one["matchers"][0]["value"]) for one in made["route"]["routes"]]
    assert routes == [
        ("pagerduty", "critical"),
        ("email", "critical"),
        ("slack", "critical"),
        ("slack", "warning"),
        ("dashboards", "info|none"),
    ]
    assert made["route"]["receiver"] == "slack"
    assert made["route"]["groupBy"] == ["alertname", "service"]
    shipped = yaml.safe_load((CHECKOUT / "alertmanager/alertmanager.yml").read_text(encoding="utf-8"))
    assert len(made["inhibitRules"]) == len(shipped["inhibit_rules"])
    assert made["inhibitRules"][0]["targetMatch"] == [{"name": "severity", "value": "warning|info", "matchType": "=~"}]


def test_a_matcher_that_cannot_be_translated_is_named() -> None:
    """One sentence, and no file."""
    with pytest.raises(ConfigError, match=r"alertmanager\.yml: the matcher severity is not of the form"):
        helm_configs.render_alertmanager_config("route: {receiver: a, matchers: [severity]}")


@pytest.mark.parametrize("text", ["a: [", "just a text", ""], ids=["broken", "text", "empty"])
def test_a_configuration_that_cannot_be_read_is_named(text: str) -> None:
    """One sentence with the file."""
    with pytest.raises(ConfigError, match=r"^prometheus/prometheus\.yml: .*the Helm chart cannot follow it"):
        helm_configs.render_prometheus(text)


def test_boards_have_the_data_source_that_a_value_replaces() -> None:
    """Once in each board: the default of its variable, by which every panel asks."""
    for path in (FILES / "dashboards").glob("*.json"):
        assert path.read_text(encoding="utf-8").count('"text":"Prometheus","value":"prometheus"') == 1, path
