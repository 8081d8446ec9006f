"""The collectors of macOS and Windows on this machine: psutil's values are those of the Linux collectors."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.catalogue import SPECS as LINUX
from perfloop_exporter.collectors.families import Late, Loss, Renderer, Verbatim
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.portable import SPECS, ProcessCollector

if TYPE_CHECKING:
    from perfloop_exporter.collectors.spec import Spec

COUNTERPARTS = {spec.name: spec for spec in LINUX} | {"boottime": next(spec for spec in LINUX if spec.name == "stat")}
# Relative: psutil and /proc are read at different moments, and psutil lacks some of the kernel's columns.
TOLERANCE = 0.1


def values_of(spec: Spec) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every value by name and labels."""
    return {
        (reading[0].name, labels): value
        for reading in spec.build(Host()).collect()
        if not isinstance(reading, Verbatim | Late | Loss)
        for labels, value in reading[1]
    }


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_values_are_those_of_the_linux_collector(spec: Spec) -> None:
    """Every series that both export has nearly the same value, and there is at least one."""
    mine, theirs = values_of(spec), values_of(COUNTERPARTS[spec.name])

    shared = mine.keys() & theirs.keys()
    far = {key: (mine[key], theirs[key]) for key in shared if abs(mine[key] - theirs[key]) > slack(theirs[key])}
    assert far == {}
    assert shared or not theirs or not mine


def slack(value: float) -> float:
    """Return how much a value may change between two reads on a busy machine."""
    return max(TOLERANCE * abs(value), 5.0)


def test_the_exporters_own_process_is_exported() -> None:
    """The exporter's own memory and CPU time are exported without /proc."""
    text = Renderer().render(ProcessCollector(Host()).collect())

    assert "process_resident_memory_bytes " in text


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_the_exporter_starts_without_what_only_linux_has(platform: str) -> None:
    """On another system nothing of Linux is imported, and a scrape exports the portable collectors."""
    code = (
        "import os, psutil, socket, ssl, sys\n"  # these would look for the other system's own parts
        f"sys.platform = {platform!r}; sys.modules['resource'] = None\n"
        "from perfloop_exporter import app, cli\n"
        "settings = cli.read_settings(cli.build_parser().parse_args([]))\n"
        "from perfloop_exporter.scrape import Scraper\n"
        "print(Scraper(app.build_slots(settings.collectors, app.build_host(settings.paths))).scrape())\n"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert found.returncode == 0, found.stderr
    assert 'node_scrape_collector_success{collector="boottime"} 1' in found.stdout
    assert "node_memory_MemTotal_bytes " in found.stdout
