"""What `prometheus/remote_write.yml` adds to the configuration of a pair of Prometheus; pure, but for its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from perfloop_base.durations import parse_duration
from perfloop_base.errors import ConfigError
from perfloop_base.located import is_duration, read_located

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

    from perfloop_base.located import Entry

REMOTE_WRITE_FILE = "prometheus/remote_write.yml"
_FIELDS = ("remote_write", "scrape_configs")
# The name of each Prometheus in Compose, by its component's, and its external label.
HOSTS = {"prometheus": "prometheus:9090", "prometheus_2": "prometheus-2:9090"}
REPLICAS = {"prometheus": "a", "prometheus_2": "b"}
REPLICA_LABEL = "replica"
STORE = "victoriametrics"
# What the one binary answers to, in the place of the three parts of the cluster.
SINGLE = {
    "vminsert:8480/insert/0/prometheus": f"{STORE}:8428/prometheus",
    "vminsert:8480": f"{STORE}:8428",
    "vmselect:8481": f"{STORE}:8428",
    "vmstorage:8482": f"{STORE}:8428",
}
_DEFAULT_SCRAPE_INTERVAL = "1m"  # Prometheus's own


def read_remote_write(path: Path, name: str = REMOTE_WRITE_FILE) -> Mapping[str, Any]:
    """Return what is added to prometheus.yml: lists of `remote_write` and `scrape_configs`.

    Raises:
        ConfigError: with a sentence for each problem, which begins with file and line.
    """
    problems: list[str] = []
    if not path.exists():
        raise ConfigError(f"{name} is missing, and a long-term store needs it: `perfloop init DIR` writes one")
    root = read_located(path, problems, name)
    _check(root)
    if problems:
        raise ConfigError(problems)
    # As plain values: what was read above knows its lines, which no writer of YAML does.
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _check(root: Entry) -> None:
    """Report what Prometheus's own tools would not say about a file that is only a part of theirs."""
    root.allow(_FIELDS, "the file")
    writes = root.mappings("remote_write")
    if not writes:
        root.report("remote_write is empty: without an address there is no long-term store.", "remote_write")
    for entry in writes:
        if not str(entry.get("url") or "").startswith(("http://", "https://")):
            entry.report(f"{entry.title('remote_write', 'name')}: url must be an address with http:// or https://.")
    for job in root.mappings("scrape_configs"):
        if not job.get("job_name"):
            job.report("this scrape config has no job_name.")


def extend(text: str, addition: Mapping[str, Any], component: str) -> str:
    """Return `prometheus.yml` of one Prometheus of the pair.

    Args:
        text: the committed file, valid YAML.
        addition: see `read_remote_write`.
        component: `prometheus` or `prometheus_2`.
    """
    config: dict[str, Any] = yaml.safe_load(text) or {}
    general = config["global"] = dict(config.get("global") or {})
    general["external_labels"] = {**(general.get("external_labels") or {}), REPLICA_LABEL: REPLICAS[component]}
    alerting = config["alerting"] = dict(config.get("alerting") or {})
    drop = {"action": "labeldrop", "regex": REPLICA_LABEL}
    alerting["alert_relabel_configs"] = [*(alerting.get("alert_relabel_configs") or []), drop]
    for key in _FIELDS:
        config[key] = [*(config.get(key) or []), *(addition.get(key) or [])]
    for job in config["scrape_configs"]:
        _add_second(job)
    return yaml.safe_dump(config, sort_keys=False)


def _add_second(job: Mapping[str, Any]) -> None:
    """Have the pair scraped wherever the first is."""
    for group in job.get("static_configs") or []:
        if HOSTS["prometheus"] in (group.get("targets") or []):
            group["targets"] = [*group["targets"], HOSTS["prometheus_2"]]


def for_single(addition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an addition in which the one binary stands for the three parts of the cluster."""
    text = yaml.safe_dump(dict(addition), sort_keys=False)
    for cluster, single in SINGLE.items():
        text = text.replace(cluster, single)
    changed: dict[str, Any] = yaml.safe_load(text)
    for job in changed.get("scrape_configs") or []:
        for group in job.get("static_configs") or []:
            group["targets"] = list(dict.fromkeys(group.get("targets") or []))
    return changed


def anchor(text: str, directory: PurePosixPath) -> str:
    """Return a `prometheus.yml` whose relative paths start from `directory`, wherever the file itself lies."""
    config: dict[str, Any] = yaml.safe_load(text)
    config["rule_files"] = [str(directory / pattern) for pattern in config.get("rule_files") or []]
    for scope in [*config["scrape_configs"], *(config.get("alerting") or {}).get("alertmanagers", [])]:
        for discovery in scope.get("file_sd_configs") or []:
            discovery["files"] = [str(directory / pattern) for pattern in discovery["files"]]
    return yaml.safe_dump(config, sort_keys=False)


def find_interval(text: str) -> str:
    """Return the shortest scrape interval of a `prometheus.yml`: of two samples that are nearer, one is superfluous.

    A longer one would throw away samples that only one Prometheus has taken.
    """
    config: dict[str, Any] = yaml.safe_load(text) or {}
    general = (config.get("global") or {}).get("scrape_interval") or _DEFAULT_SCRAPE_INTERVAL
    intervals = [str(general), *(str(job.get("scrape_interval") or general) for job in config["scrape_configs"])]
    # What is no duration is for promtool to refuse.
    return min((one for one in intervals if is_duration(one)), key=parse_duration, default=_DEFAULT_SCRAPE_INTERVAL)
