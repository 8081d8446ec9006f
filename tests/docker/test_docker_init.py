"""What the `init` container makes: once, for one reader each, and never half."""

from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from perfloop.stack import docker_init

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The volumes, empty."""
    for name in ("grafana", "alertmanager", "analyzer", "demo"):
        (tmp_path / "out" / name).mkdir(parents=True)
    return tmp_path / "out"


@pytest.fixture
def source(checkout: Path, tmp_path: Path) -> Path:
    """The committed directories, readable as a clone's are, and no secret."""
    for name in ("prometheus", "alertmanager", "grafana"):
        shutil.copytree(checkout / name, tmp_path / "src" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src" / "secrets").mkdir()
    return tmp_path / "src"


def _run(source: Path, out: Path) -> int:
    return docker_init.main(["--source", str(source), "--out", str(out)])


def _mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def test_passwords_are_made_once(source: Path, volumes: Path):
    """A second run keeps the passwords; they are long, and differ from each other."""
    assert _run(source, volumes) == 0
    files = [volumes / name for name in ("grafana/admin-password", "analyzer/token", "demo/password")]
    first = [path.read_text(encoding="utf-8") for path in files]
    assert _run(source, volumes) == 0
    assert [path.read_text(encoding="utf-8") for path in files] == first
    assert len(set(first)) == 3
    assert min(map(len, first)) >= 32
    assert [_mode(path) for path in files[:2]] == ["0400", "0400"]


def test_redis_asks_for_the_demo_password(source: Path, volumes: Path):
    """Redis' configuration has the same password as the demo's file."""
    assert _run(source, volumes) == 0
    password = (volumes / "demo" / "password").read_text(encoding="utf-8")
    assert f"requirepass {password}\n" in (volumes / "demo" / "redis.conf").read_text(encoding="utf-8")


def test_alertmanager_gets_its_directory(source: Path, volumes: Path):
    """Configuration and templates lie beside each other; without secrets there is none."""
    assert _run(source, volumes) == 0
    assert (volumes / "alertmanager" / "alertmanager.yml").exists()
    assert list((volumes / "alertmanager" / "templates").glob("*.tmpl"))
    assert list((volumes / "alertmanager" / "secrets").iterdir()) == []


def test_a_secret_is_copied_for_its_reader_alone_and_goes_with_its_file(source: Path, volumes: Path):
    """A secret lies beside the configuration, readable by its owner; once removed from secrets/, it is gone."""
    given = source / "secrets" / "pagerduty_routing_key"
    given.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")
    assert _run(source, volumes) == 0
    copy = volumes / "alertmanager" / "secrets" / "pagerduty_routing_key"
    assert copy.read_text(encoding="utf-8") == "0123456789abcdef0123456789abcdef"
    assert _mode(copy) == "0400"
    config = (volumes / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    assert "/etc/perfloop/secrets/pagerduty_routing_key" in config
    given.unlink()
    assert _run(source, volumes) == 0
    assert not copy.exists()


def test_reports_are_sent_by_the_same_secrets(source: Path, volumes: Path):
    """The analyzer gets copies of Slack's and mail's, for itself alone, and none of another channel."""
    (source / "secrets" / "slack_api_url").write_text("https://chat.example.com/hook\n")
    (source / "secrets" / "pagerduty_routing_key").write_text("0" * 32)
    assert _run(source, volumes) == 0
    (copy,) = (volumes / "analyzer" / "reports").iterdir()
    assert (copy.name, _mode(copy)) == ("slack_api_url", "0400")
    assert copy.read_text(encoding="utf-8") == "https://chat.example.com/hook"
    (source / "secrets" / "slack_api_url").unlink()
    assert _run(source, volumes) == 0
    assert list((volumes / "analyzer" / "reports").iterdir()) == []


def test_a_wrong_secret_changes_nothing(source: Path, volumes: Path, capsys: pytest.CaptureFixture[str]):
    """A secret of the wrong form is reported without its value, and Alertmanager's directory stays as it was."""
    assert _run(source, volumes) == 0
    before = (volumes / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    (source / "secrets" / "pagerduty_routing_key").write_text("hunter2", encoding="utf-8")
    assert _run(source, volumes) == 2
    reported = capsys.readouterr().err
    assert "secrets/pagerduty_routing_key holds 7 characters" in reported
    assert "hunter2" not in reported
    assert (volumes / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8") == before


def test_a_clone_that_only_its_owner_reads_is_reported(source: Path, volumes: Path, capsys: pytest.CaptureFixture[str]):
    """The sentence names the file, its mode and the command, and nothing was made."""
    (source / "prometheus" / "prometheus.yml").chmod(0o600)
    assert _run(source, volumes) == 1
    assert capsys.readouterr().err == (
        "perfloop.stack.docker_init: prometheus/prometheus.yml has mode 0600, "
        "so the containers' users cannot read it: `chmod -R o+rX prometheus`\n"
    )
    assert list((volumes / "grafana").iterdir()) == []


def test_an_absent_volume_is_one_sentence(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A directory that is not there is named."""
    assert _run(source, tmp_path / "nowhere") == 1
    assert capsys.readouterr().err.startswith(f"perfloop.stack.docker_init: {tmp_path}/nowhere/grafana/")
