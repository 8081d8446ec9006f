from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop.stack import settings as settings_module
from perfloop.stack.errors import SettingsError
from perfloop.stack.settings import find_configuration, parse_env_file, read_settings
from perfloop_base.home import DEFAULT_PORTS, port_variable

if TYPE_CHECKING:
    from pathlib import Path


def test_defaults(tmp_path: Path) -> None:
    """Without `.env` and variables every port is the documented one and the home is beside the configuration."""
    settings = read_settings(tmp_path, {})
    assert settings.ports == DEFAULT_PORTS
    assert settings.home == tmp_path / ".perfloop"


def test_environment_wins_over_env_file(tmp_path: Path) -> None:
    """A variable of the environment beats the same variable of `.env`."""
    (tmp_path / ".env").write_text("PERFLOOP_DEMO_PORT=8100\nPERFLOOP_GRAFANA_PORT='3100'\nDATABASE_URL=sqlite://\n")
    settings = read_settings(tmp_path, {"PERFLOOP_DEMO_PORT": "8200"})
    assert settings.ports["demo"] == 8200
    assert settings.ports["grafana"] == 3100
    assert settings.environment["DATABASE_URL"] == "sqlite://"


def test_relative_home_is_in_the_checkout(tmp_path: Path) -> None:
    """A relative PERFLOOP_HOME starts from the checkout, wherever the command is called."""
    assert read_settings(tmp_path, {"PERFLOOP_HOME": "runs/a"}).home == tmp_path / "runs" / "a"


def test_all_problems_together(tmp_path: Path) -> None:
    """Every broken line and value is named in one go, each in one sentence."""
    (tmp_path / ".env").write_text("# fine\nPERFLOOP_DEMO_PORT=http\njust words\nPERFLOOP_DEMOO_PORT=1\n")
    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path, {"PERFLOOP_INBOX_PORT": "70000"})
    assert str(caught.value).splitlines() == [
        ".env line 3 is not KEY=value",
        "PERFLOOP_DEMOO_PORT is not a variable of the stack: did you mean PERFLOOP_DEMO_PORT?",
        "PERFLOOP_INBOX_PORT is '70000': a port is a whole number from 1 to 65535",
        "PERFLOOP_DEMO_PORT is 'http': a port is a whole number from 1 to 65535",
    ]


def test_one_port_for_two_parts_is_an_error(tmp_path: Path) -> None:
    """Two components cannot listen on one port, and the message names both variables."""
    with pytest.raises(SettingsError, match="PERFLOOP_PROMETHEUS_PORT and PERFLOOP_ALERTMANAGER_PORT"):
        read_settings(tmp_path, {"PERFLOOP_ALERTMANAGER_PORT": "9090"})


def test_unreadable_env_file(tmp_path: Path) -> None:
    """A `.env` that is no text is one sentence, not a traceback."""
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"^\.env cannot be read: "):
        read_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ('A="b c"', {"A": "b c"}),
        ("A=", {"A": ""}),
        ("  # A=1", {}),
        ("A=x=y", {"A": "x=y"}),
    ],
)
def test_env_lines(line: str, expected: dict[str, str]) -> None:
    """The usual forms of an assignment are understood."""
    assert parse_env_file(line, ".env") == (expected, [])


def test_port_variables_are_the_documented_ones() -> None:
    """The variable of a port is its name in capitals."""
    assert port_variable("inbox_smtp") == "PERFLOOP_INBOX_SMTP_PORT"


def test_the_current_directory_wins_where_it_holds_a_configuration(tmp_path: Path) -> None:
    """`.env`, secrets and what a run leaves are beside it."""
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "prometheus.yml").touch()
    assert find_configuration(tmp_path) == (tmp_path, tmp_path)


def test_elsewhere_a_checkout_is_its_own_configuration(checkout: Path, tmp_path: Path) -> None:
    """Started from another directory, the programs of a checkout use the checkout."""
    assert find_configuration(tmp_path) == (checkout, checkout)
    assert read_settings(checkout, {}).is_editable


def test_an_installed_wheel_keeps_nothing_in_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration is read-only; `.env`, secrets and home are in the current directory."""
    shipped, current = tmp_path / "site" / "data", tmp_path / "empty"
    monkeypatch.setattr(settings_module, "shipped_root", lambda: shipped)
    monkeypatch.setattr(settings_module, "is_checkout", lambda: False)
    current.mkdir()
    (current / ".env").write_text("PERFLOOP_DEMO_PORT=8100\n")
    configuration, directory = find_configuration(current)
    settings = read_settings(configuration, {}, directory)
    assert (settings.configuration, settings.home) == (shipped, current / ".perfloop")
    assert settings.secrets == current / "secrets"
    assert settings.ports["demo"] == 8100
    assert not settings.is_editable
