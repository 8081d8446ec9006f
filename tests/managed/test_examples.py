"""Each example of a managed service: parsed by promtool, started, and taken by a double that verifies who asks."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop_analyzer.app import run_once
from tests.managed.conftest import MANAGED, Prometheus, reading, start_prometheus, writing
from tests.support import clouds as names
from tests.support.prometheus_versions import find_newer, find_shipped
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.managed.conftest import Secrets

# Where each example writes, and the first Prometheus that has its authentication. Debian's build of 2.42 takes `sigv4`
# and `headers`, and sends neither: what carries them was patched out of it.
WRITERS = {
    "amazon": (names.AMAZON, (2, 43)),
    "google": (names.GOOGLE, (2, 54)),
    "azure": (names.AZURE_WRITES, (3, 7)),
    "azure-secret": (names.AZURE_WRITES, (2, 27)),
    "grafana-cloud": (names.GRAFANA, (2, 26)),
    "new-relic": (names.NEW_RELIC_WRITES, (2, 26)),
    "mimir": (names.MIMIR, (2, 43)),
}
READERS = {
    "amazon": names.AMAZON,
    "google": names.GOOGLE,
    "azure": names.AZURE_READS,
    "azure-secret": names.AZURE_READS,
    "grafana-cloud": names.GRAFANA,
    "new-relic": names.NEW_RELIC_READS,
    "mimir": names.MIMIR,
}


@pytest.mark.parametrize("name", WRITERS)
def test_promtool_accepts_the_example(name: str, promtool: str) -> None:
    """The file is a whole configuration of its own, for the release that its first lines name."""
    checker = find_newer("promtool", promtool, WRITERS[name][1])
    command = [checker, "check", "config", "--syntax-only", str(MANAGED / f"{name}.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", WRITERS)
def test_the_shipped_promtool_accepts_the_example(name: str) -> None:
    """The same by the promtool of the image that Compose runs."""
    command = [find_shipped("promtool"), "check", "config", "--syntax-only", str(MANAGED / f"{name}.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_example_is_tried() -> None:
    """No file of the directory is left out here."""
    assert {path.stem for path in MANAGED.glob("*.yml")} == WRITERS.keys()
    assert {path.stem for path in MANAGED.glob("*.flags")} == READERS.keys()


@pytest.mark.parametrize("name", WRITERS)
def test_prometheus_writes_and_is_accepted(
    name: str, prometheus_binary: str, backend: Prometheus, secrets: Secrets, tmp_path: Path
) -> None:
    """The example as it is, in a real Prometheus: what it scrapes arrives at the other end, and nothing is refused."""
    host, least = WRITERS[name]
    binary = find_newer("prometheus", prometheus_binary, least)
    clouds, started = secrets.clouds, contextlib.contextmanager(start_prometheus)
    document = writing(name, secrets)
    with started(binary, document, tmp_path / "writer", environment=secrets.environment()) as writer:
        end = time.monotonic() + 90
        while backend.query(f'up{{service="writer",via="{name}"}}') != 1:
            assert time.monotonic() < end, f"no samples at {host}: {clouds.seen[-3:]}, {writer.log[-1500:]}"
            time.sleep(0.2)
        shown = writer.log
    assert set(clouds.statuses(host, "write")) <= {200, 204}
    for path in secrets.directory.iterdir():
        assert path.read_text().strip() not in shown


@pytest.mark.parametrize("name", READERS)
async def test_the_analyzer_reads_and_is_accepted(
    name: str, backend: Prometheus, secrets: Secrets, capfd: pytest.CaptureFixture[str]
) -> None:
    """The flags as they are, with the whole catalogue: every query is answered, and a service has a score."""
    wait_for(lambda: backend.query('up{service="shop"}') == 1, "the service behind the double")
    result = await run_once(reading(name, secrets))
    assert (result.failures, "shop" in {one.service for one in result.health}) == ({}, True)
    assert set(secrets.clouds.statuses(READERS[name], "read")) == {200}
    shown = "".join(capfd.readouterr())
    assert [path.name for path in secrets.directory.iterdir() if path.read_text().strip() in shown] == []


@pytest.mark.parametrize("path", sorted((MANAGED / "grafana").iterdir()), ids=lambda path: path.stem)
def test_grafanas_examples_replace_the_boards_data_source(path: Path, checkout: Path) -> None:
    """Each is a provisioning file with the boards' uid, the address that the analyzer reads, and no secret."""
    (source,) = yaml.safe_load(path.read_text())["datasources"]
    flags = (MANAGED / f"{path.stem}.flags").read_text()
    shipped = yaml.safe_load((checkout / "grafana/provisioning/datasources/perfloop.yml").read_text())["datasources"][0]
    assert (source["uid"], source["name"], source["isDefault"]) == (shipped["uid"], shipped["name"], True)
    assert f"--prometheus.url={source['url']}\n" in flags
    secret = {key: value for key, value in source.get("secureJsonData", {}).items() if value != "shop"}
    assert all(value.startswith("$__file{/run/secrets/") for value in secret.values()), secret


def test_datadogs_check_names_series_that_exist(checkout: Path) -> None:
    """Each metric of the check is in the wire contract, spelt as the Agent spells it: counters without `_total`."""
    document = yaml.safe_load((MANAGED / "datadog" / "conf.yaml").read_text())
    programs = yaml.safe_load((checkout / "tests/wire/contract.yml").read_text())["programs"]
    known = [re.compile(metric["name"]) for metrics in programs.values() for metric in metrics]
    for instance in document["instances"]:
        assert {"openmetrics_endpoint", "namespace", "metrics"} <= instance.keys()
        for name in instance["metrics"]:
            assert any(one.fullmatch(name) or one.fullmatch(f"{name}_total") for one in known), name


def test_datadogs_agent_takes_otlp_on_this_machine_alone() -> None:
    """The Agent's receiver listens where the exporter sends, and on no other interface."""
    document = yaml.safe_load((MANAGED / "datadog" / "datadog.yaml").read_text())
    assert document["otlp_config"]["receiver"]["protocols"]["http"]["endpoint"] == "127.0.0.1:4318"
