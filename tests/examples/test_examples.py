"""Every file of examples/ does what its page says: the service is scraped, the load test run, the rest loaded."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from perfloop_analyzer.catalog.loading import load_catalog
from perfloop_analyzer.config import AnalysisConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_base.errors import ConfigError
from perfloop_rules.check import check_rule_files
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def examples(checkout: Path) -> Path:
    """The directory of the examples."""
    return checkout / "examples"


@pytest.fixture(scope="module")
def service(examples: Path) -> Iterator[str]:
    """The address of the example's service, started by the command in its docstring."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(examples), "service:app", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/openapi.json", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(answers, "the service to listen", 60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def scrape(url: str) -> str:
    """The service's metrics as Prometheus reads them."""
    return httpx.get(f"{url}/metrics", timeout=10).raise_for_status().text


def load(path: Path) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text())


def test_the_service_exports_its_own_metrics(service: str) -> None:
    """Requests per route, and the metrics of its own that the docstrings name, are in /metrics."""
    httpx.get(f"{service}/prices/bread").raise_for_status()
    httpx.post(f"{service}/orders", json={"apple": 2}).raise_for_status()
    assert httpx.get(f"{service}/prices/gold").status_code == 404
    text = scrape(service)
    assert 'http_route="/prices/{product}"' in text
    assert re.search(r'app_price_lookup_seconds_count{source="memory"} [1-9]', text)
    assert re.search(r'app_order_value{currency="EUR"} 0\.8', text)


def test_the_targets_file_is_one_of_prometheus(examples: Path) -> None:
    """The targets file has the form of Prometheus's file discovery and names the service's port."""
    (entry,) = load(examples / "targets.yml")
    assert entry == {"targets": ["127.0.0.1:8001"], "labels": {"service": "shop"}}


def test_the_load_test_runs(service: str, examples: Path, tmp_path: Path) -> None:
    """The load test passes its gates against the service; here at a tenth of its length."""
    shorter = (examples / "load_test.yml").read_text().replace("duration_seconds: 30", "duration_seconds: 3")
    (tmp_path / "load_test.yml").write_text(shorter)
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "perfloop_loadgen", "run", str(tmp_path / "load_test.yml")]
    done = subprocess.run(
        [*command, f"--url={service}", f"--report.json={report}"],
        check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    # A busy machine can miss the gate on latency, or be the limit itself; nothing else may be wrong.
    total = json.loads(report.read_text())["summary"]["total"]
    assert (total["total_requests"], total["failed_requests"]) == (150, 0), done.stderr


def test_a_wrong_load_test_is_refused(examples: Path, tmp_path: Path) -> None:
    """The check of the load test can fail: an unknown field is a usage error."""
    (tmp_path / "load_test.yml").write_text((examples / "load_test.yml").read_text().replace("weight", "wait"))
    command = [sys.executable, "-m", "perfloop_loadgen", "run", str(tmp_path / "load_test.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "wait" in done.stderr) == (2, True)


def test_the_prices_are_taken(examples: Path) -> None:
    """The analyzer publishes money with them."""
    prices = load_knowledge(AnalysisConfig(prices_file=examples / "prices.yml")).prices
    assert prices is not None
    assert prices.per_hour("core_hour", 2) == 0.06


def test_the_catalogue_is_loaded(examples: Path) -> None:
    """The analyzer's catalogue has the example's signal, with its limits, besides the shipped ones."""
    signals = {signal.name: signal for signal in load_catalog([examples / "catalog.yml"])}
    assert signals["price_lookup_p95"].limit is not None
    assert (signals["price_lookup_p95"].limit.warning, signals["price_lookup_p95"].limit.critical) == (0.05, 0.2)
    assert "api_response_time_p95" in signals


def test_a_wrong_catalogue_is_refused(examples: Path, tmp_path: Path) -> None:
    """An unknown field of the catalogue is an error with its file."""
    (tmp_path / "catalog.yml").write_text((examples / "catalog.yml").read_text().replace("unit:", "units:"))
    with pytest.raises(ConfigError, match="units"):
        load_catalog([tmp_path / "catalog.yml"])


@pytest.mark.parametrize("name", ["catalog.yml", "alerts.yml"])
def test_rules_and_catalogue_use_metrics_of_the_service(service: str, examples: Path, name: str) -> None:
    """Every metric that the catalogue and the alert read is one that the service exports."""
    httpx.get(f"{service}/prices/coffee").raise_for_status()
    named = set(re.findall(r"\b(app_\w+)", (examples / name).read_text()))
    exported = set(re.findall(r"^(app_\w+)", scrape(service), flags=re.MULTILINE))
    assert named
    assert named <= exported


def test_the_alert_is_accepted(examples: Path, tmp_path: Path, checkout: Path) -> None:
    """Perfloop accepts the file among the shipped alerts, and finds what is wrong with a broken one."""
    for part in ("rules", "alerts"):
        shutil.copytree(checkout / "prometheus" / part, tmp_path / "prometheus" / part)
    place = tmp_path / "prometheus" / "alerts" / "shop.yml"
    shutil.copy(examples / "alerts.yml", place)
    assert check_rule_files(tmp_path) == []
    place.write_text(place.read_text().replace("for: 1m", "for: soon"))
    (problem,) = check_rule_files(tmp_path)
    assert "shop.yml" in problem
    assert "soon" in problem


def test_promtool_accepts_the_alert(examples: Path, promtool: str) -> None:
    """Prometheus's own checker accepts the file."""
    command = [promtool, "check", "rules", str(examples / "alerts.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["load_test.yml", "catalog.yml"])
def test_the_schema_of_a_file_exists(examples: Path, name: str) -> None:
    """The first line names a schema that is in the repository."""
    found = re.match(r"# yaml-language-server: \$schema=(\S+)", (examples / name).read_text())
    assert found
    assert (examples / found[1]).is_file()
