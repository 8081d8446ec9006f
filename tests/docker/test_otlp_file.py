"""docker-compose.otlp.yml changes the command of Prometheus in what receiving OTLP takes, and in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop.stack import docker_init, otlp
from perfloop.stack.compose_files import OTLP_FILE

if TYPE_CHECKING:
    from pathlib import Path


def _command(checkout: Path, name: str) -> list[str]:
    document: dict[str, Any] = yaml.safe_load((checkout / name).read_text(encoding="utf-8"))
    command: list[str] = document["services"]["prometheus"]["command"]
    return command


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.scale.yml"])
def test_it_replaces_nothing_that_the_others_say(checkout: Path, name: str) -> None:
    """Compose replaces a command whole, so it must repeat what the other files give Prometheus."""
    before, after = _command(checkout, name), _command(checkout, OTLP_FILE)
    assert set(after) - set(before) == {*otlp.FLAGS, "--config.file=/etc/prometheus-otlp/prometheus.yml"}
    assert [flag.split("=")[0] for flag in before if flag not in after] == ["--config.file"]


@pytest.mark.parametrize("scale", ["", "1"])
def test_its_configuration_has_what_prometheus_has_without_it(checkout: Path, tmp_path: Path, scale: str) -> None:
    """With the pair's long-term store or without: rules, jobs and targets stay, found from where the file lies."""
    docker_init.install_otlp(checkout, tmp_path, {"PERFLOOP_SCALE": scale, "PERFLOOP_ALERTMANAGERS": "2"})
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    committed = yaml.safe_load((checkout / "prometheus" / "prometheus.yml").read_text())
    assert config["otlp"]["translation_strategy"] == otlp.STRATEGY
    assert config["rule_files"] == [f"/etc/prometheus/{pattern}" for pattern in committed["rule_files"]]
    jobs = [job["job_name"] for job in committed["scrape_configs"]]
    assert [job["job_name"] for job in config["scrape_configs"]][: len(jobs)] == jobs
    assert ("remote_write" in config) == bool(scale)
