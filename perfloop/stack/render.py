"""From the committed configuration, which names Compose's hosts, to that of a native stack. Pure: text in, text out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from perfloop.stack.remote_write import HOSTS
from perfloop_base.home import DEFAULT_PORTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def native_addresses(ports: Mapping[str, int]) -> dict[str, str]:
    """Return `127.0.0.1:PORT` for each `host:port` of the committed files; `inbox_smtp` is the host `inbox`."""
    addresses = {
        f"{name.removesuffix('_smtp')}:{default}": f"127.0.0.1:{ports[name]}" for name, default in DEFAULT_PORTS.items()
    }
    # In its own container it listens on the port of the first; a host name has no underscore.
    return addresses | {HOSTS["prometheus_2"]: f"127.0.0.1:{ports['prometheus_2']}"}


def rewrite_addresses(text: str, addresses: Mapping[str, str]) -> str:
    """Return `text` with every known `host:port` replaced."""
    known = "|".join(re.escape(address) for address in addresses)
    return re.sub(rf"(?<![\w.-])({known})(?!\d)", lambda match: addresses[match[1]], text)


# Directories of service discovery that the stack itself writes: natively they are in its home.
_HOME_DIRECTORIES = {"run-targets": "targets", "alertmanagers": "alertmanagers"}


def _absolute(pattern: str, source: Path, home: Path) -> str:
    path = Path(pattern)
    ours = _HOME_DIRECTORIES.get(path.parts[0])
    return str(home / ours / path.name if ours else source / path)


def _static_from_dns(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Compose finds these by DNS, so that one that is left out is no failing target; natively they are static."""
    return [
        {"targets": [f"{name}:{entry['port']}" for name in entry["names"]]} for entry in job.pop("dns_sd_configs", [])
    ]


def _keep_present(job: dict[str, Any], present: Collection[str]) -> None:
    committed = {name.removesuffix("_smtp") for name in DEFAULT_PORTS}
    groups = job.pop("static_configs", []) + _static_from_dns(job)
    for group in groups:
        hosts = {target: target.rsplit(":", 1)[0] for target in group["targets"]}
        group["targets"] = [target for target, host in hosts.items() if host in present or host not in committed]
    groups = [group for group in groups if group["targets"]]
    if groups:
        job["static_configs"] = groups


def _has_targets(job: Mapping[str, Any]) -> bool:
    return any(key.endswith("_sd_configs") or key == "static_configs" for key in job)


def _adapt(scope: dict[str, Any], source: Path, home: Path, present: Collection[str]) -> None:
    """Make one scrape job, or one group of Alertmanagers, that of a native stack."""
    _keep_present(scope, present)
    for discovery in scope.get("file_sd_configs", []):
        discovery["files"] = [_absolute(pattern, source, home) for pattern in discovery["files"]]


def find_rule_patterns(text: str) -> list[str]:
    """Return the patterns of rule files below the directory of prometheus.yml: one elsewhere is read where it is."""
    patterns = (yaml.safe_load(text) or {}).get("rule_files") or []
    return [pattern for pattern in patterns if not Path(pattern).is_absolute() and not pattern.startswith("../")]


def render_prometheus(
    text: str, *, source: Path, home: Path, addresses: Mapping[str, str], present: Collection[str]
) -> str:
    """Return the `prometheus.yml` of a native stack.

    Args:
        text: the committed file.
        source: the directory that its relative paths start from. Those of `rule_files` stay as they are: the rules are
            copied beside the result, so that a file half written here is never loaded.
        home: the directory of the stack, where load tests and a second Alertmanager are announced.
        addresses: see `native_addresses`.
        present: the names of the components that this stack has; the targets of others are left out.
    """
    config = yaml.safe_load(text)
    for scope in [*config["scrape_configs"], *config.get("alerting", {}).get("alertmanagers", [])]:
        _adapt(scope, source, home, present)
    config["scrape_configs"] = [job for job in config["scrape_configs"] if _has_targets(job)]
    # A pattern that leaves the directory cannot be copied beside the result: it is read where it is.
    config["rule_files"] = [
        str(source / pattern) if pattern.startswith("../") else pattern for pattern in config.get("rule_files") or []
    ]
    return rewrite_addresses(yaml.safe_dump(config, sort_keys=False), addresses)


def render_provisioning(text: str, *, dashboards: Path, addresses: Mapping[str, str]) -> str:
    """Return one file of Grafana's provisioning: addresses rewritten, dashboard providers reading `dashboards`."""
    config = yaml.safe_load(text) or {}
    for provider in config.get("providers", []):
        provider.setdefault("options", {})["path"] = str(dashboards)
    return rewrite_addresses(yaml.safe_dump(config, sort_keys=False), addresses)


def tempo_source(url: str) -> dict[str, Any]:
    """Return the data source of a Tempo: Grafana's API takes it as it stands, and so does its provisioning."""
    return {
        "name": "Tempo",
        "uid": "tempo",
        "type": "tempo",
        "access": "proxy",
        "url": url,
        # From a span to the service's metrics: the same names on both sides.
        "jsonData": {
            "tracesToMetrics": {
                "datasourceUid": "prometheus",
                "tags": [{"key": "service.name", "value": "service"}],
                "queries": [
                    {
                        "name": "Requests per second",
                        "query": "sum(rate(http_server_request_duration_seconds_count{$__tags}[5m]))",
                    }
                ],
            }
        },
    }


def render_tempo(url: str) -> str:
    """Return the provisioning of a Tempo as a data source."""
    text = yaml.safe_dump({"apiVersion": 1, "datasources": [tempo_source(url)]}, sort_keys=False)
    # Grafana fills in variables of the environment: its own macros are written with two dollars.
    return text.replace("$", "$$")
