"""What the long-term store adds to Prometheus's configuration: the committed file, its mistakes, and both stacks."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop.stack import docker_init, native
from perfloop.stack.components import build_components
from perfloop.stack.configuration import prepare
from perfloop.stack.errors import SettingsError
from perfloop.stack.remote_write import anchor, extend, find_interval, for_single, read_remote_write
from perfloop.stack.settings import read_settings
from perfloop_base.errors import ConfigError
from tests.support.readiness import CHECKOUT

if TYPE_CHECKING:
    from perfloop.stack.settings import Settings

COMMITTED = CHECKOUT / "prometheus" / "prometheus.yml"
REMOTE = CHECKOUT / "prometheus" / "remote_write.yml"
BINARIES = {name: Path("/usr/bin") / name for name in ("prometheus", "alertmanager", "victoriametrics", "grafana")}
GOOD = "remote_write:\n- {name: a, url: http://h/write}\n"
MISTAKES = {
    "not YAML": ("remote_write: [", "r.yml:1: not valid YAML: "),
    "nothing": ("scrape_configs: []\n", "r.yml:1: remote_write is empty: without an address there is no long-term"),
    "an empty file": ("", "r.yml"),
    "a list": ("- a\n", "r.yml:1"),
    "a key of prometheus.yml": (GOOD + "rule_files: [x]\n", "r.yml:3: the file: unknown field 'rule_files'; "),
    "a typing error": ("remote_writes:\n- {url: http://h}\n", "r.yml:1: the file: unknown field 'remote_writes'; did"),
    "no address": ("remote_write:\n- {name: a}\n", "r.yml:2: remote_write a: url must be an address with http://"),
    "an address of another kind": (
        "remote_write:\n- url: h:80\n",
        "r.yml:2: this remote_write: url must be an address",
    ),
    "an address that is a list": ("remote_write:\n- url: [x]\n", "r.yml:2: this remote_write: url must be an address"),
    "a mapping for a list": ("remote_write: {url: http://h}\n", "r.yml:1: remote_write must be a list."),
    "a word in the list": ("remote_write: [http://h]\n", "r.yml:1: remote_write holds 'http://h'; every item must be"),
    "a job without a name": (GOOD + "scrape_configs:\n- {static_configs: []}\n", "r.yml:4: this scrape config has no"),
}


def _extended(component: str = "prometheus") -> dict[str, Any]:
    text = extend(COMMITTED.read_text(), read_remote_write(REMOTE), component)
    return dict(yaml.safe_load(text))


def _settings(tmp_path: Path, **variables: str) -> Settings:
    return read_settings(CHECKOUT, {"PERFLOOP_HOME": str(tmp_path / "home"), "PERFLOOP_SCALE": "1", **variables})


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(tmp_path: Path, case: str):
    """File, line and rule."""
    text, sentence = MISTAKES[case]
    (tmp_path / "r.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_remote_write(tmp_path / "r.yml", "r.yml")
    assert caught.value.problems[0].startswith(sentence), caught.value.problems


def test_a_configuration_from_before_says_what_it_lacks(tmp_path: Path):
    """One that `perfloop init` wrote without the file: one sentence with what to do."""
    with pytest.raises(ConfigError, match=r"r\.yml is missing, and a long-term store needs it: `perfloop init DIR`"):
        read_remote_write(tmp_path / "r.yml", "r.yml")


def test_the_two_differ_by_one_label_that_is_not_stored():
    """Both write the same series and send the same alerts; no other line differs."""
    one, other = _extended("prometheus"), _extended("prometheus_2")
    assert one["global"].pop("external_labels") == {"replica": "a"}
    assert other["global"].pop("external_labels") == {"replica": "b"}
    assert one == other
    drop = {"action": "labeldrop", "regex": "replica"}
    assert one["remote_write"][-1]["write_relabel_configs"] == [drop]
    assert one["alerting"]["alert_relabel_configs"] == [drop]


def test_what_a_person_has_written_stays():
    """External labels, relabelling of alerts and other stores of prometheus.yml come first."""
    text = yaml.safe_dump(
        {
            "global": {"external_labels": {"cluster": "x"}},
            "alerting": {"alert_relabel_configs": [{"action": "keep", "source_labels": ["a"]}]},
            "remote_write": [{"url": "http://mine"}],
            "scrape_configs": [{"job_name": "mine", "static_configs": [{"targets": ["prometheus:9090", "x:1"]}]}],
        }
    )
    config = yaml.safe_load(extend(text, {"remote_write": [{"url": "http://store"}]}, "prometheus_2"))
    assert config["global"]["external_labels"] == {"cluster": "x", "replica": "b"}
    assert [one["url"] for one in config["remote_write"]] == ["http://mine", "http://store"]
    assert len(config["alerting"]["alert_relabel_configs"]) == 2
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == [
        "prometheus:9090",
        "x:1",
        "prometheus-2:9090",
    ]


def test_one_binary_stands_for_the_cluster():
    """Its own path of the API, and one target instead of three."""
    addition = for_single(read_remote_write(REMOTE))
    assert [one["url"] for one in addition["remote_write"]] == ["http://victoriametrics:8428/prometheus/api/v1/write"]
    (job,) = addition["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["victoriametrics:8428"]


@pytest.mark.parametrize("component", ["prometheus", "prometheus_2"])
def test_prometheus_accepts_what_a_native_stack_makes(tmp_path: Path, promtool: str, component: str):
    """Promtool of the shipped version; no name of Compose is left in it."""
    settings = _settings(tmp_path)
    components = build_components(settings, BINARIES, demo=False)
    (settings.home / "targets").mkdir(parents=True)
    path = prepare(settings, components, {}) / "prometheus" / f"{component}.yml"
    done = subprocess.run([promtool, "check", "config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = path.read_text()
    assert not any(name in text for name in ("vminsert", "vmselect", "prometheus-2", "victoriametrics:")), text
    jobs = {job["job_name"]: job for job in yaml.safe_load(text)["scrape_configs"]}
    assert jobs["prometheus"]["static_configs"][0]["targets"] == ["127.0.0.1:9090", "127.0.0.1:9091"]
    assert jobs["victoriametrics"]["static_configs"][0]["targets"] == ["127.0.0.1:8428"]


@pytest.mark.parametrize("alertmanagers", ["", "2"])
def test_prometheus_accepts_what_the_containers_get(tmp_path: Path, promtool: str, alertmanagers: str):
    """Both files, with one Alertmanager and with two; the container's paths are the checkout's here."""
    docker_init.install_pair(CHECKOUT, tmp_path, alertmanagers)
    for name, replica in (("prometheus", "a"), ("prometheus_2", "b")):
        text = (tmp_path / f"{name}.yml").read_text()
        config = yaml.safe_load(text)
        assert config["global"]["external_labels"] == {"replica": replica}
        assert all(pattern.startswith("/etc/prometheus/") for pattern in config["rule_files"])
        (group,) = config["alerting"]["alertmanagers"]
        addresses = [target for one in group["static_configs"] for target in one["targets"]]
        assert addresses == ["alertmanager:9093", *(["alertmanager-2:9093"] if alertmanagers else [])]
        (tmp_path / "here.yml").write_text(text.replace("/etc/prometheus", str(CHECKOUT / "prometheus")))
        asked = [promtool, "check", "config", str(tmp_path / "here.yml")]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_relative_paths_start_where_they_did():
    """A file in another directory finds rules and targets where the committed one does."""
    text = "rule_files: [rules/*.yml]\nscrape_configs: [{job_name: a, file_sd_configs: [{files: [targets/*.yml]}]}]\n"
    config = yaml.safe_load(anchor(text, PurePosixPath("/etc/p")))
    assert config["rule_files"] == ["/etc/p/rules/*.yml"]
    assert config["scrape_configs"][0]["file_sd_configs"] == [{"files": ["/etc/p/targets/*.yml"]}]


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("scrape_configs: []", "1m"),
        ("global: {scrape_interval: 5s}\nscrape_configs: [{job_name: a}]", "5s"),
        (
            "global: {scrape_interval: 1m}\nscrape_configs: [{job_name: a, scrape_interval: 500ms}, {job_name: b}]",
            "500ms",
        ),
        ("global: {scrape_interval: soon}\nscrape_configs: []", "1m"),
    ],
)
def test_no_sample_is_dropped_as_superfluous(text: str, interval: str):
    """Deduplication goes by the shortest interval of any job; what is no duration is for promtool to refuse."""
    assert find_interval(text) == interval


def test_analyzer_and_grafana_read_one_address(tmp_path: Path):
    """The store's with a store, Prometheus's without, and what PERFLOOP_READ_URL names in either case."""
    elsewhere = "https://metrics.example/prometheus"
    for variables, address in (
        ({}, "http://127.0.0.1:8428"),
        ({"PERFLOOP_SCALE": "0"}, "http://127.0.0.1:9090"),
        ({"PERFLOOP_READ_URL": f"{elsewhere}/"}, elsewhere),
    ):
        components = build_components(_settings(tmp_path, **variables), BINARIES, demo=False)
        environments = {one.name: one.environment for one in components}
        read = {name: environments[name]["PERFLOOP_READ_URL"] for name in ("analyzer", "grafana")}
        assert read == {"analyzer": address, "grafana": address}


def test_a_store_is_there_when_it_is_asked_for(tmp_path: Path):
    """A second Prometheus and the store, with the retention and the interval of the settings; else neither."""
    scaled = {one.name: one for one in build_components(_settings(tmp_path), BINARIES, demo=False)}
    plain = {one.name for one in build_components(_settings(tmp_path, PERFLOOP_SCALE=""), BINARIES, demo=False)}
    assert scaled.keys() - plain == {"prometheus_2", "victoriametrics"}
    assert "-retentionPeriod=400d" in scaled["victoriametrics"].command
    assert "-dedup.minScrapeInterval=5s" in scaled["victoriametrics"].command
    assert scaled["victoriametrics"].wave < scaled["prometheus"].wave == scaled["prometheus_2"].wave


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PERFLOOP_SCALE", "yes", "PERFLOOP_SCALE is 'yes': it is 1 with a long-term store, else 0"),
        ("PERFLOOP_LONG_RETENTION_TIME", "13", "PERFLOOP_LONG_RETENTION_TIME is '13': it is whole days, weeks or"),
        ("PERFLOOP_LONG_RETENTION_TIME", "0d", "PERFLOOP_LONG_RETENTION_TIME is '0d': it is whole days, weeks or"),
        ("PERFLOOP_LONG_RETENTION_TIME", "90m", "PERFLOOP_LONG_RETENTION_TIME is '90m': it is whole days, weeks or"),
        ("PERFLOOP_READ_URL", "localhost:8428", "PERFLOOP_READ_URL is no address: it begins with http:// or https://"),
        ("PERFLOOP_READ_URL", "http://", "PERFLOOP_READ_URL is no address: "),
        ("PERFLOOP_READ_URL", "http://h:0", "PERFLOOP_READ_URL is no address: "),
        ("PERFLOOP_READ_URL", "http://[::1", "PERFLOOP_READ_URL is no address: "),
        (
            "PERFLOOP_READ_URL",
            "http://u:pw-9@h",
            "PERFLOOP_READ_URL has a user, a password or parameters in it",
        ),  # secret-scan: example
        ("PERFLOOP_READ_URL", "http://h/?token=pw-9", "PERFLOOP_READ_URL has a user, a password or parameters in it"),
        ("PERFLOOP_READ_URL", "http://h/$x", "PERFLOOP_READ_URL has a blank or another sign that no address has"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, variable: str, value: str, sentence: str):
    """The variable, the rule, and the value where it can be no secret."""
    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path, {variable: value})
    assert str(caught.value).startswith(sentence)
    assert "pw-9" not in str(caught.value)


def test_a_store_that_is_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is asked for only where there is to be one."""
    asked: list[str] = []
    monkeypatch.setattr(native.programs, "find", lambda name, _: Path("/usr/bin") / name)
    monkeypatch.setattr(native.programs, "ensure", lambda name, _: asked.append(name) or Path("/usr/bin") / name)
    native.find_binaries(_settings(tmp_path, PERFLOOP_SCALE="0"), lambda _: None)
    assert "victoria-metrics" not in asked
    assert "victoriametrics" in native.find_binaries(_settings(tmp_path), lambda _: None)
