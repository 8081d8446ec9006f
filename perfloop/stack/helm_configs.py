"""The chart's Prometheus and Alertmanager: the shipped configuration, with what is in a cluster in another way.

Pure: texts in, texts out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The chart's template puts its own in place of these.
RELEASE, NAMESPACE = "RELEASE_NAME", "RELEASE_NAMESPACE"
PROMETHEUS = Path("prometheus/prometheus.yml")
ALERTMANAGER = Path("alertmanager/alertmanager.yml")
_HEADER = "# Written by `perfloop generate` from {source}: change that file, not this one.\n"
# What the chart can run, by the job that scrapes it; the other jobs of prometheus.yml are the demo and Grafana.
_COMPONENTS = {
    "node": "exporter",
    "analyzer": "analyzer",
    "loadgen": "loadgen",
    "inbox": "inbox",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
}
_SERVICES = "services"
# Receivers of the local inbox alone, and the alert of `perfloop doctor --send-test`.
_LOCAL_ROUTES = ('alertname="Watchdog"', 'alertname="PerfloopTest"')
_MATCHER = re.compile(r'(?P<name>\w+)(?P<type>=~|!~|!=|=)"(?P<value>(?:[^"\\]|\\.)*)"')
_DISCOVERY = ("static_configs", "dns_sd_configs", "file_sd_configs", "relabel_configs")


def _load(text: str, source: Path) -> dict[str, Any]:
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML, so the Helm chart cannot follow it: {error}.") from error
    if not isinstance(read, dict):
        raise ConfigError(f"{source}: holds no settings, so the Helm chart cannot follow it.")
    return read


def _write(document: Mapping[str, Any], source: Path) -> str:
    return _HEADER.format(source=source) + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=118)


# ---- Prometheus


def _pods(component: str) -> list[dict[str, Any]]:
    """Return the discovery of the pods of one of the chart's components."""
    label = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
    return [{"role": "pod", "namespaces": {"names": [NAMESPACE]}, "selectors": [{"role": "pod", "label": label}]}]


def _target(name: str, *sources: str, regex: str = "(.+)", replacement: str = "$1") -> dict[str, Any]:
    return {"source_labels": list(sources), "regex": regex, "target_label": name, "replacement": replacement}


_META = "__meta_kubernetes_pod_"
_HAS_ENDED = {"source_labels": [f"{_META}phase"], "regex": "Succeeded|Failed", "action": "drop"}
_IS_HTTP = {"source_labels": [f"{_META}container_port_name"], "regex": "http", "action": "keep"}
# The machine, as in every other installation: what is on a dead node is one message.
_HOST = _target("host", f"{_META}node_name")
_OBJECT = [_target("namespace", "__meta_kubernetes_namespace"), _target("pod", f"{_META}name")]
# The label that applications give themselves; else the name of the workload, which for a Deployment is that of its
# ReplicaSet without the hash.
SERVICE_OF_A_POD = (
    _target("service", f"{_META}controller_name"),
    _target("service", f"{_META}controller_kind", f"{_META}controller_name", regex=r"ReplicaSet;(.+)-[^-]+"),
    _target("service", f"{_META}label_app_kubernetes_io_name"),
)
_ANNOTATED = (
    {"source_labels": [f"{_META}annotation_prometheus_io_scrape"], "regex": "true", "action": "keep"},
    _target("__scheme__", f"{_META}annotation_prometheus_io_scheme", regex="(https?)"),
    _target("__metrics_path__", f"{_META}annotation_prometheus_io_path"),
    _target(
        "__address__",
        f"{_META}annotation_prometheus_io_port",
        f"{_META}ip",
        regex=r"(\d+);((?:\d+\.){3}\d+)",
        replacement="$2:$1",
    ),
    _target(
        "__address__",
        f"{_META}annotation_prometheus_io_port",
        f"{_META}ip",
        regex=r"(\d+);((?:[0-9a-fA-F]*:)+[0-9a-fA-F]*)",
        replacement="[$2]:$1",
    ),
)


def render_prometheus(text: str) -> str:
    """Return the `prometheus.yml` of the chart: the same jobs, their targets found by the API of Kubernetes.

    Args:
        text: the committed file.

    Raises:
        ConfigError: it is not that of a Prometheus.
    """
    config = _load(text, PROMETHEUS)
    jobs = {job["job_name"]: job for job in config.get("scrape_configs") or []}
    made = []
    for name, job in jobs.items():
        if name in _COMPONENTS:
            made.append(_job(job, _pods(_COMPONENTS[name]), [_IS_HTTP, *_service_of(job), _HOST, *_OBJECT]))
        elif name == _SERVICES:
            discovery = [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]
            made.append(_job(job, discovery, [*_ANNOTATED, *SERVICE_OF_A_POD, _HOST, *_OBJECT]))
    config["scrape_configs"] = made
    config["rule_files"] = [f"/etc/perfloop/{pattern}" for pattern in config.get("rule_files") or []]
    config["alerting"] = {
        "alertmanagers": [
            {"kubernetes_sd_configs": _pods("alertmanager"), "relabel_configs": [_HAS_ENDED, _IS_HTTP]},
        ]
    }
    return _write(config, PROMETHEUS)


def _job(job: Mapping[str, Any], discovery: list[dict[str, Any]], relabel: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {key: value for key, value in job.items() if key not in _DISCOVERY}
    return {**kept, "kubernetes_sd_configs": discovery, "relabel_configs": [_HAS_ENDED, *relabel]}


def _service_of(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what gives the targets of a job the label `service` that they have in every other installation."""
    labels = [group.get("labels", {}).get("service") for group in job.get("static_configs", [])]
    given = [rule["replacement"] for rule in job.get("relabel_configs", []) if rule.get("target_label") == "service"]
    service = next((one for one in [*labels, *given] if one), job["job_name"])
    return [{"target_label": "service", "replacement": service}]


# ---- Alertmanager


def render_alertmanager_config(text: str) -> str:
    """Return the routes and inhibitions of `alertmanager.yml` in the form of an AlertmanagerConfig (v1alpha1).

    Receivers are the chart's own, by its values: an AlertmanagerConfig has no templates of messages. The heartbeat and
    the test alerts are the local inbox's.

    Raises:
        ConfigError: a matcher is not of the form `name="value"`.
    """
    config = _load(text, ALERTMANAGER)
    inhibitions = [
        {
            "sourceMatch": _matchers(rule.get("source_matchers")),
            "targetMatch": _matchers(rule.get("target_matchers")),
            **({"equal": rule["equal"]} if rule.get("equal") else {}),
        }
        for rule in config.get("inhibit_rules") or []
    ]
    return _write({"route": _route(config.get("route") or {}), "inhibitRules": inhibitions}, ALERTMANAGER)


_TIMES = {
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
}


def _route(route: Mapping[str, Any]) -> dict[str, Any]:
    made = {"receiver": route["receiver"]} if "receiver" in route else {}
    made |= {theirs: route[ours] for ours, theirs in _TIMES.items() if ours in route}
    if route.get("matchers"):
        made["matchers"] = _matchers(route["matchers"])
    if route.get("continue"):
        made["continue"] = True
    below = [one for one in route.get("routes") or [] if not set(_LOCAL_ROUTES) & set(one.get("matchers") or [])]
    if below:
        made["routes"] = [_route(one) for one in below]
    return made


def _matchers(written: list[str] | None) -> list[dict[str, str]]:
    made = []
    for one in written or []:
        found = _MATCHER.fullmatch(one.replace(" ", "") if '"' not in one else one.strip())
        if found is None:
            raise ConfigError(f'{ALERTMANAGER}: the matcher {one} is not of the form name="value".')
        value = found["value"].replace('\\"', '"').replace("\\\\", "\\")
        # Equality is what no type means; alone, the sign is no plain text to readers of YAML 1.1.
        kind = {} if found["type"] == "=" else {"matchType": found["type"]}
        made.append({"name": found["name"], "value": value, **kind})
    return made
