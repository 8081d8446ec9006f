"""The collectors of macOS and Windows, on this machine: what psutil says is what the Linux collectors say."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.families import Renderer, Verbatim
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.linux_catalogue import SPECS as LINUX
from perfloop_exporter.collectors.portable.catalogue import SPECS, ProcessCollector

if TYPE_CHECKING:
    from perfloop_exporter.collectors.spec import Spec

TWINS = {spec.name: spec for spec in LINUX} | {"boottime": next(spec for spec in LINUX if spec.name == "stat")}
# Told without the kernel's own column, or in another moment.
TOLERANCE = 0.1


def told(spec: Spec) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every value by name and labels."""
    return {
        (reading[0].name, labels): value
        for reading in spec.build(Host()).collect()
        if not isinstance(reading, Verbatim)
        for labels, value in reading[1]
    }


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_values_are_those_of_the_linux_collector(spec: Spec) -> None:
    """Every series that both tell has nearly the same value, and the names are the same."""
    mine, theirs = told(spec), told(TWINS[spec.name])

    shared = mine.keys() & theirs.keys()
    far = {key: (mine[key], theirs[key]) for key in shared if abs(mine[key] - theirs[key]) > slack(theirs[key])}
    assert far == {}
    assert shared or not theirs or not mine


def slack(value: float) -> float:
    """What a busy machine counts between two looks."""
    return max(TOLERANCE * abs(value), 5.0)


def test_the_own_cost_is_told_too() -> None:
    """The exporter's own memory and CPU are there without /proc."""
    text = Renderer().render(ProcessCollector(Host()).collect())

    assert "process_resident_memory_bytes " in text


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_the_exporter_starts_without_what_only_linux_has(platform: str) -> None:
    """On another system nothing of Linux is imported, and a scrape tells the portable collectors."""
    code = (
        "import os, psutil, socket, ssl, sys\n"  # these would look for the other system's own parts
        f"sys.platform = {platform!r}; sys.modules['resource'] = None\n"
        "from perfloop_exporter import app, cli\n"
        "settings = cli.read_settings([])\n"
        "from perfloop_exporter.scrape import Scraper\n"
        "print(Scraper(app.build_stations(settings.collectors, app.build_host(settings.paths))).scrape())\n"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert found.returncode == 0, found.stderr
    assert 'node_scrape_collector_success{collector="boottime"} 1' in found.stdout
    assert "node_memory_MemTotal_bytes " in found.stdout
