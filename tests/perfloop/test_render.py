from __future__ import annotations

from pathlib import Path

import yaml

from perfloop.stack.render import native_addresses, render_prometheus, render_provisioning, rewrite_addresses
from perfloop_base.home import DEFAULT_PORTS

PORTS = {name: 20000 + index for index, name in enumerate(DEFAULT_PORTS)}
ADDRESSES = native_addresses(PORTS)
COMMITTED = """
global: {scrape_interval: 5s}
rule_files: [rules/*.yml, ../more/*.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: [alertmanager:9093]}]
      file_sd_configs: [{files: [alertmanagers/*.yml]}]
scrape_configs:
  - job_name: node
    static_configs: [{targets: [exporter:19100], labels: {service: host}}]
  - job_name: demo
    dns_sd_configs: [{names: [demo], type: A, port: 8000}]
  - job_name: loadgen
    dns_sd_configs: [{names: [loadgen], type: A, port: 19120}]
    file_sd_configs: [{files: [run-targets/*.json]}]
  - job_name: services
    file_sd_configs: [{files: [targets/*.yml]}]
  - job_name: grafana
    static_configs: [{targets: [grafana:3000]}]
  - job_name: mine
    static_configs: [{targets: [example.test:8000]}]
"""


def _render(present: set[str]) -> dict:  # type: ignore[type-arg]
    text = render_prometheus(
        COMMITTED, source=Path("/c/prometheus"), home=Path("/h"), addresses=ADDRESSES, present=present
    )
    return yaml.safe_load(text)  # type: ignore[no-any-return]


def _jobs(config: dict) -> dict:  # type: ignore[type-arg]
    return {job["job_name"]: job for job in config["scrape_configs"]}


ALL = {"exporter", "demo", "loadgen", "grafana", "alertmanager"}


def test_hosts_become_loopback_ports() -> None:
    """Every component's `host:port` is that of this machine, and its labels stay."""
    jobs = _jobs(_render(ALL))
    assert jobs["node"]["static_configs"] == [
        {"targets": [f"127.0.0.1:{PORTS['exporter']}"], "labels": {"service": "host"}}
    ]
    assert jobs["demo"] == {"job_name": "demo", "static_configs": [{"targets": [f"127.0.0.1:{PORTS['demo']}"]}]}


def test_absent_parts_are_no_targets() -> None:
    """A component that is left out is not scraped; a job without any way to a target is gone."""
    jobs = _jobs(_render({"exporter", "alertmanager"}))
    assert "demo" not in jobs
    assert "grafana" not in jobs
    assert "static_configs" not in jobs["loadgen"]


def test_foreign_targets_stay() -> None:
    """A target that is none of the components is left as it was."""
    assert _jobs(_render(set()))["mine"]["static_configs"] == [{"targets": ["example.test:8000"]}]


def test_relative_paths_become_absolute() -> None:
    """Targets are read from the configuration, load tests' announcements from the home; rules lie beside the file."""
    config = _render(ALL)
    assert config["rule_files"] == ["rules/*.yml", "/c/prometheus/../more/*.yml"]
    assert _jobs(config)["services"]["file_sd_configs"] == [{"files": ["/c/prometheus/targets/*.yml"]}]
    assert _jobs(config)["loadgen"]["file_sd_configs"] == [{"files": ["/h/targets/*.json"]}]
    assert config["alerting"]["alertmanagers"][0]["file_sd_configs"] == [{"files": ["/h/alertmanagers/*.yml"]}]


def test_addresses_are_whole_words() -> None:
    """`demo:8000` is replaced, `mydemo:8000`, `x.demo:8000` and `demo:80001` are not."""
    text = "demo:8000 mydemo:8000 x.demo:8000 demo:80001 http://demo:8000/x"
    home = f"127.0.0.1:{PORTS['demo']}"
    assert rewrite_addresses(text, ADDRESSES) == f"{home} mydemo:8000 x.demo:8000 demo:80001 http://{home}/x"


def test_provisioning_reads_the_checkouts_dashboards() -> None:
    """A dashboard provider reads the committed directory, a datasource the native port."""
    provider = render_provisioning(
        "providers: [{name: a, options: {path: x}}]", dashboards=Path("/c/d"), addresses=ADDRESSES
    )
    assert yaml.safe_load(provider)["providers"][0]["options"]["path"] == "/c/d"
    source = render_provisioning(
        "datasources: [{url: 'http://prometheus:9090'}]", dashboards=Path("/c/d"), addresses=ADDRESSES
    )
    assert yaml.safe_load(source)["datasources"][0]["url"] == f"http://127.0.0.1:{PORTS['prometheus']}"


def test_the_committed_file_renders_with_all_jobs(checkout: Path) -> None:
    """The file that is committed gives a native configuration that names no Compose host any more."""
    text = render_prometheus(
        (checkout / "prometheus" / "prometheus.yml").read_text(),
        source=checkout / "prometheus",
        home=Path("/h"),
        addresses=ADDRESSES,
        present={name.removesuffix("_smtp") for name in DEFAULT_PORTS},
    )
    config = yaml.safe_load(text)
    targets = [
        t for job in config["scrape_configs"] for group in job.get("static_configs", []) for t in group["targets"]
    ]
    assert {target.split(":")[0] for target in targets} == {"127.0.0.1"}
    assert {"node", "demo", "services", "prometheus", "alertmanager"} <= set(_jobs(config))
