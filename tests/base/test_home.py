"""Where a running stack is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop.stack.settings import DEFAULT_PORTS as STACK_PORTS
from perfloop_base import home
from perfloop_base.errors import ConfigError
from perfloop_base.home import DEFAULT_PORTS, find_home, local_port, local_url, running_url

if TYPE_CHECKING:
    from pathlib import Path


def test_a_named_home_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """PERFLOOP_HOME, whatever the current directory holds."""
    (tmp_path / ".perfloop").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFLOOP_HOME", "/elsewhere")
    assert str(find_home()) == "/elsewhere"


def test_the_current_directory_comes_before_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkout: Path
):
    """`.perfloop` of the current directory where it is there, else the checkout's."""
    monkeypatch.delenv("PERFLOOP_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert find_home() == checkout / ".perfloop"
    (tmp_path / ".perfloop").mkdir()
    assert find_home().resolve() == tmp_path / ".perfloop"


def test_an_installed_program_keeps_to_the_current_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without a checkout, `.perfloop` of the current directory, whether it is there or not."""
    monkeypatch.delenv("PERFLOOP_HOME", raising=False)
    monkeypatch.setattr(home, "is_checkout", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert find_home().resolve() == tmp_path / ".perfloop"


def test_addresses_follow_the_port_variables(monkeypatch: pytest.MonkeyPatch):
    """The default port, and the one that the variable names."""
    monkeypatch.delenv("PERFLOOP_PROMETHEUS_PORT", raising=False)
    assert local_url("prometheus") == "http://127.0.0.1:9090"
    monkeypatch.setenv("PERFLOOP_PROMETHEUS_PORT", "19999")
    assert local_url("prometheus") == "http://127.0.0.1:19999"


@pytest.mark.parametrize("text", ["x", "0", "65536", "-1"])
def test_a_variable_that_holds_no_port_is_named(monkeypatch: pytest.MonkeyPatch, text: str):
    """The variable, its value and the rule."""
    monkeypatch.setenv("PERFLOOP_DEMO_PORT", text)
    with pytest.raises(ConfigError) as caught:
        local_port("demo")
    assert str(caught.value) == f"PERFLOOP_DEMO_PORT is {text!r}: a port is a whole number from 1 to 65535"


def test_the_defaults_are_the_stacks():
    """A component is looked for where the stack starts it."""
    assert {name: STACK_PORTS[name] for name in DEFAULT_PORTS} == DEFAULT_PORTS


def test_a_running_stack_is_found_where_it_was_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The record of `perfloop up` comes before the default port, the variable before both; a broken record is none."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    monkeypatch.delenv("PERFLOOP_ANALYZER_PORT", raising=False)
    assert running_url("analyzer") == "http://127.0.0.1:19110"
    (tmp_path / "run").mkdir()
    record = tmp_path / "run" / "stack.json"
    record.write_text('{"components": [{"name": "analyzer", "url": "http://127.0.0.1:21110/"}, {"name": "demo"}]}')
    assert running_url("analyzer") == "http://127.0.0.1:21110"
    assert running_url("demo") == "http://127.0.0.1:8000"
    monkeypatch.setenv("PERFLOOP_ANALYZER_PORT", "22110")
    assert running_url("analyzer") == "http://127.0.0.1:22110"
    monkeypatch.delenv("PERFLOOP_ANALYZER_PORT")
    record.write_text("[")
    assert running_url("analyzer") == "http://127.0.0.1:19110"
