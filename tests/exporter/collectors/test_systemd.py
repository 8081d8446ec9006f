"""systemd over D-Bus: a private dbus-daemon with a service that owns systemd's name."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors import systemd, systemd_bus
from perfloop_exporter.collectors.families import Loss, Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.systemd_bus import AT_ONCE, Question
from perfloop_exporter.errors import CollectorError, NoDataError
from tests.exporter.collectors.fake_systemd import BusService, FakeManager, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURE = Path(__file__).parent / "fixtures" / "systemd"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""


@pytest.fixture
def answers() -> dict[str, object]:
    """Return what systemd answers."""
    found: dict[str, object] = json.loads((FIXTURE / "host.json").read_text())["systemd"]
    return found


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a bus, and make it the system's."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("there is no dbus-daemon")
    path, config = tmp_path / "bus", tmp_path / "bus.conf"
    config.write_text(CONFIG.format(socket=path))
    address = f"unix:path={path}"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with subprocess.Popen([daemon, f"--config-file={config}", "--nofork", "--nopidfile"]) as process:
        try:
            wait_for(path)
            yield address
        finally:
            process.kill()


def wait_for(path: Path) -> None:
    """Wait until the daemon listens: its socket is there a moment before."""
    end = time.monotonic() + 20
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            else:
                return


@pytest.fixture
def service(bus: str, answers: dict[str, object]) -> Iterator[BusService]:
    """Start systemd's stand-in on the bus."""
    running = BusService(bus, FakeManager(answers))
    yield running
    running.stop()


def collect(**options: str | bool) -> str:
    """Return what the collector exports."""
    return Renderer().render(systemd.SPEC.build(Host(), options).collect())


def test_units_come_over_the_bus(service: BusService) -> None:
    """The text is the golden file, which the other tests make without a bus."""
    options = json.loads((FIXTURE / "host.json").read_text())["options"]
    assert collect(**options) == (FIXTURE / "expected.prom").read_text()


def test_many_properties_keep_their_order(service: BusService) -> None:
    """More questions than are sent at once have their answers in order, and None for what there is not."""
    there = Question(path_of("ssh.socket"), "Socket", "NAccepted")
    missing = Question(path_of("ssh.socket"), "Socket", "NFlushed")
    with systemd_bus.connect() as manager:
        assert manager.ask([there, missing] * AT_ONCE) == [12, None] * AT_ONCE


def test_patterns_are_of_whole_names(service: BusService) -> None:
    """As in node_exporter a unit is exported when its whole name is included and not excluded."""
    text = collect(**{"unit-include": r"backup\..+|var-log\.mount", "unit-exclude": "back"})

    assert 'node_systemd_unit_state{name="backup.timer",state="active",type=""} 1' in text
    assert 'node_systemd_unit_state{name="var-log.mount",state="active",type="ext4"} 1' in text
    assert "shop.service" not in text
    assert 'node_systemd_units{state="active"} 4' in text


def test_a_machine_without_systemd_has_no_data(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a bus without systemd nor a machine without a bus is a failure."""
    with pytest.raises(NoDataError, match="systemd"):
        collect()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"{bus}-gone")
    with pytest.raises(NoDataError, match="the system bus is not there"):
        collect()


def test_what_is_no_bus_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that the library refuses is one sentence."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "carrier-pigeon:loft=1")
    with pytest.raises(CollectorError, match="the system bus refuses the connection"):
        collect()


def test_a_bare_machine_and_a_release_that_lacks_properties(
    service: BusService, answers: dict[str, dict[str, object]]
) -> None:
    """No virtualization is `none`; a property that the release does not have is left out."""
    manager = FakeManager({"units": {}, "manager": {"Version": ["s", "252 (252.39-1)"], "Virtualization": ["s", ""]}})
    service._manager = manager
    items = list(systemd.SPEC.build(Host()).collect())
    text = Renderer().render(items)

    assert 'node_systemd_version{version="252 (252.39-1)"} 252' in text
    assert 'node_systemd_virtualization_info{virtualization_type="none"} 1' in text
    assert "node_systemd_system_running" not in text
    assert [item.parts for item in items if isinstance(item, Loss)] == [1]


def test_without_the_library_the_flag_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    monkeypatch.setattr(systemd, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'perfloop\[exporter\]'"):
        systemd.SPEC.build(Host())
