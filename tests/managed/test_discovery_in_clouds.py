"""The discovery examples of Amazon and Google in a real Prometheus, before doubles that verify who asks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.managed.conftest import MANAGED, start_prometheus
from tests.support import clouds as names
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.managed.conftest import Secrets

FOUND = {
    "ec2": {
        "job": "ec2",
        "service": "search",
        "host": "10.3.0.7",
        "instance": "10.3.0.7:9100",
        "instance_id": "i-0123456789abcdef0",
        "zone": "eu-central-1a",
    },
    "gce": {
        "job": "gce",
        "service": "orders",
        "host": "10.4.0.9",
        "instance": "10.4.0.9:8000",
        "instance_id": "orders-1",
        "zone": "europe-west3-a",
    },
}
HOSTS = {"ec2": names.AMAZON_MACHINES, "gce": names.GOOGLE_MACHINES}


def discovering(name: str, secrets: Secrets) -> tuple[dict[str, Any], Mapping[str, str]]:
    """An example, which reaches the service through the proxy, and the variables that name the credentials."""
    document: dict[str, Any] = yaml.safe_load((MANAGED.parent / "discovery" / f"{name}.yml").read_text())
    if name == "ec2":
        document["scrape_configs"][0]["ec2_sd_configs"][0]["proxy_url"] = f"http://127.0.0.1:{secrets.clouds.port}"
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(secrets.directory / "google_key.json")}
    return document, secrets.environment() | variables


@pytest.mark.parametrize("name", FOUND)
def test_machines_are_found_with_our_labels(
    name: str, prometheus_binary: str, secrets: Secrets, tmp_path: Path
) -> None:
    """The service, the host and the zone are the tags' and the cloud's; the port is the tag's where there is one."""
    document, variables = discovering(name, secrets)
    started = contextlib.contextmanager(start_prometheus)
    with started(prometheus_binary, document, tmp_path / "reader", environment=variables) as reader:

        def targets() -> list[dict[str, str]]:
            answer = httpx.get(f"{reader.url}/api/v1/targets", timeout=10, trust_env=False).json()
            return [target["labels"] for target in answer["data"]["activeTargets"]]

        found = wait_for(targets, f"a machine: {secrets.clouds.seen}, {reader.log[-1500:]}", 60)
    assert found == [FOUND[name]]
    assert 200 in secrets.clouds.statuses(HOSTS[name], "read")


def test_a_refused_key_finds_nothing_and_says_why(prometheus_binary: str, secrets: Secrets, tmp_path: Path) -> None:
    """Prometheus runs on, and its log has Amazon's reason."""
    secrets.write_aws("AKIDEXAMPLE", "another-secret-than-amazons")
    document, variables = discovering("ec2", secrets)
    started = contextlib.contextmanager(start_prometheus)
    with started(prometheus_binary, document, tmp_path / "reader", environment=variables) as reader:
        wait_for(lambda: "The request signature we calculated does not match" in reader.log, "the reason", 60)
        assert httpx.get(f"{reader.url}/-/healthy", timeout=10, trust_env=False).is_success
    assert "another-secret-than-amazons" not in reader.log
