from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.alertmanager_config import install
from perfloop.stack.errors import SettingsError
from perfloop.stack.settings import read_settings
from perfloop.stack.validation import find_broken_files, find_invalid_configuration, require_readable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copy(tmp_path: Path, checkout: Path) -> Path:
    """A checkout with the files that a start reads."""
    for folder in ("prometheus", "alertmanager", "grafana/provisioning"):
        shutil.copytree(checkout / folder, tmp_path / folder)
    (tmp_path / "demo").mkdir()
    shutil.copy(checkout / "demo" / "steady.yml", tmp_path / "demo" / "steady.yml")
    return tmp_path


def test_committed_files_are_whole(checkout: Path) -> None:
    """What is committed has no broken file."""
    assert list(find_broken_files(checkout)) == []


def test_every_broken_file_is_named_with_its_line(copy: Path) -> None:
    """Each file that is no YAML, or missing, is one sentence with the place; all at once."""
    (copy / "prometheus" / "thresholds.yml").write_text("signals:\n  - signal: a\n   warning: 1\n")
    (copy / "prometheus" / "targets" / "mine.yml").write_text("- targets: [a\n")
    (copy / "alertmanager" / "alertmanager.yml").unlink()
    with pytest.raises(SettingsError) as caught:
        require_readable(read_settings(copy, {}))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("prometheus/thresholds.yml is not valid YAML: line 3, column ")
    assert lines[1].startswith("prometheus/targets/mine.yml is not valid YAML: line 2, column ")
    assert lines[2] == "alertmanager/alertmanager.yml is missing: it belongs to the checkout"


def test_what_prometheus_would_refuse_is_found_before_it_starts(copy: Path, tmp_path: Path, promtool: str) -> None:
    """A configuration that is YAML but no configuration is one sentence by promtool."""
    settings = read_settings(copy, {"PERFLOOP_HOME": str(tmp_path / "home")})
    (settings.home / "etc").mkdir(parents=True)
    (settings.home / "etc" / "prometheus.yml").write_text("scrape_configs: [{job_name: a}, {job_name: a}]\n")
    problems = list(find_invalid_configuration(settings))
    assert len(problems) == 1
    assert "promtool refuses" in problems[0]
    assert "multiple scrape configs with job name" in problems[0]


def test_an_alertmanager_too_old_for_a_secret_is_told(copy: Path, tmp_path: Path, amtool: str) -> None:
    """Before 0.26 an address cannot come from a file: one sentence names the secret; later versions take it."""
    (copy / "secrets").mkdir()
    (copy / "secrets" / "heartbeat_url").write_text("https://example.com/ping\n")
    settings = read_settings(copy, {"PERFLOOP_HOME": str(tmp_path / "home")})
    install(copy / "alertmanager", settings.home / "etc" / "alertmanager", copy / "secrets", {})
    config = settings.home / "etc" / "alertmanager" / "alertmanager.yml"
    taken = subprocess.run([amtool, "check-config", str(config)], capture_output=True, check=False).returncode == 0
    problems = list(find_invalid_configuration(settings))
    sentence = "secrets/heartbeat_url needs Alertmanager 0.26 or later"
    assert [sentence in problem for problem in problems] == ([] if taken else [True])
