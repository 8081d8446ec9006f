"""What tests of every package share: the real programs, free ports, and the checkout's own directories."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from perfloop.stack import programs
from perfloop_base.home import DEFAULT_PORTS, port_variable
from tests.support.free_ports import find_free_ports
from tests.support.live_stack import LiveStack

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
_UP_SECONDS = 200
# The same examples in every run: a failure is of the change that it appears with. HYPOTHESIS_PROFILE=default looks for
# new ones, as the fuzzers in benchmarks/ do.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
# Load tests of tests are not part of the checkout's own history; those with a home of their own say so.
os.environ.setdefault("PERFLOOP_LOADGEN_STORE_URL", "none")
# In the order of the fields of LiveStack.
LIVE_COMPONENTS = ("demo", "inbox", "prometheus", "exporter", "analyzer", "loadgen")


@pytest.fixture(scope="module", autouse=True)
def _collect_leaks() -> Iterator[None]:
    """Collect what the module has left open while the failure is still the module's own."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The directory that holds the whole project."""
    return CHECKOUT


@pytest.fixture
def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    return find_free_ports(1)[0]


def _program(name: str) -> str:
    found = programs.find(name)
    if found is None:
        pytest.skip(f"{name} is neither on PATH nor in .perfloop/bin: run `make tools`")
    return str(found)


@pytest.fixture(scope="session")
def prometheus_binary() -> str:
    """The real Prometheus."""
    return _program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    """The real promtool."""
    return _program("promtool")


@pytest.fixture(scope="session")
def alertmanager_binary() -> str:
    """The real Alertmanager."""
    return _program("alertmanager")


@pytest.fixture(scope="session")
def amtool() -> str:
    """The real amtool."""
    return _program("amtool")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests that look at the one running stack in one process, so that it is started once.

    Those that burn an error budget come last: by the SRE Workbook's windows it fires for half an hour.
    """
    for item in items:
        if "live_stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("live-stack"))
    items.sort(key=lambda item: item.get_closest_marker("burns_error_budget") is not None)


@pytest.fixture(scope="session")
def live_stack(
    tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str, alertmanager_binary: str
) -> Iterator[LiveStack]:
    """A native stack with demo and steady load on free ports, its home in a temporary directory."""
    home = tmp_path_factory.mktemp("stack")
    ports = dict(zip(DEFAULT_PORTS, find_free_ports(len(DEFAULT_PORTS)), strict=True))
    moved = {port_variable(name): str(port) for name, port in ports.items()}
    environment = {**os.environ, **moved, "PERFLOOP_HOME": str(home), "PERFLOOP_LOADGEN_STORE_URL": ""}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "perfloop", *arguments]
        return subprocess.run(
            command, check=False, env=environment, text=True, capture_output=True, timeout=_UP_SECONDS
        )

    try:
        done = run("up", "--native")
        assert done.returncode == 0, done.stderr
        urls = (f"http://127.0.0.1:{ports[name]}" for name in LIVE_COMPONENTS)
        yield LiveStack(*urls, environment={**moved, "PERFLOOP_HOME": str(home)})
    finally:
        done = run("down")
    assert done.returncode == 0, done.stderr
