"""Prometheus's own receiver of OTLP metrics: what it needs on the command line and in prometheus.yml. Pure.

Only Prometheus 3 has it as it is used here; what is committed stays valid for 2.42, and gets this added where
PERFLOOP_OTLP asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from perfloop.stack.alertmanager_version import Version
from perfloop.stack.errors import SettingsError
from perfloop.stack.settings import OTLP_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/api/v1/otlp"
# The first that keeps names with dots, so that rules can distinguish them from our own.
OLDEST = Version(3, 0)
FLAGS = (
    "--web.enable-otlp-receiver",
    # Sums and histograms of delta temporality become cumulative ones, from 3.2 on; before, they are refused.
    "--enable-feature=otlp-deltatocumulative",
)
# Resource attributes that become labels of every series: by which the rules of spellings.yml know whose it is.
PROMOTED = (
    *("service.name", "service.namespace", "service.instance.id", "deployment.environment.name"),
    *("host.name", "k8s.cluster.name", "k8s.namespace.name", "k8s.node.name", "k8s.pod.name"),
    # What an application may set to be named as in a scrape.
    *("service", "host"),
)
# The names as they are sent: those with underscores are our own and the scraped ones.
STRATEGY = "NoUTF8EscapingWithSuffixes"
# How late a sample may come: a sender that could not reach Prometheus sends again what it has.
LATE = "30m"


def require_receiver(version: Version | None) -> None:
    """Refuse a Prometheus that has no receiver.

    Raises:
        SettingsError: in one sentence.
    """
    if version is None or version < OLDEST:
        shown = "this machine's Prometheus" if version is None else f"this machine's Prometheus {version}"
        raise SettingsError(
            f"{OTLP_VARIABLE} is 1, but {shown} has no OTLP receiver that can be used: that needs {OLDEST} or later"
        )


def extend(text: str) -> str:
    """Return a `prometheus.yml` whose Prometheus receives OTLP; what it says itself about either section holds.

    Args:
        text: the committed file, valid YAML.
    """
    config: dict[str, Any] = yaml.safe_load(text) or {}
    config["otlp"] = {
        "translation_strategy": STRATEGY,
        "promote_resource_attributes": list(PROMOTED),
        **_mapping(config.get("otlp")),
    }
    storage = _mapping(config.get("storage"))
    tsdb = {"out_of_order_time_window": LATE, **_mapping(storage.get("tsdb"))}
    config["storage"] = {**storage, "tsdb": tsdb}
    return yaml.safe_dump(config, sort_keys=False)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
