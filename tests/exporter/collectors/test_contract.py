"""What holds for every collector, on its fixture's machine, on an empty one and on this one."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.collectors.families import Late, Loss, Renderer, Verbatim
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family
    from perfloop_exporter.collectors.spec import Spec
    from tests.exporter.collectors.conftest import Machine

NAMES = sorted(path.name for path in (Path(__file__).parent / "fixtures").iterdir())
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Counters that node_exporter or cAdvisor publish without the suffix, or as another type.
UNSUFFIXED = frozenset({"container_memory_failcnt", "node_systemd_socket_refused_connections_total"})
UNSUFFIXED_PREFIXES = ("node_nf_conntrack_stat", "node_ethtool_")
# Collectors that use system calls, a library, or files named by an option.
WITHOUT_FILES = frozenset(
    {"gpu", "network_route", "selinux", "tcpstat", "textfile", "thresholds", "time", "timex", "uname"}
)
# Collectors whose directory or library exists on machines without such a device.
MAY_BE_EMPTY = frozenset(
    {"bonding", "cpufreq", "ethtool", "gpu", "hwmon", "mdadm", "network_route", "swap", "thermal_zone"}
)


def check_family(family: Family) -> None:
    """Check that a family's name, type and labels follow the rules of the text format."""
    assert NAME.fullmatch(family.name)
    assert family.help.strip()
    assert family.kind in {"counter", "gauge", "untyped"}
    assert len(set(family.labels)) == len(family.labels)
    if family.name not in UNSUFFIXED and not family.name.startswith(UNSUFFIXED_PREFIXES):
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name


@pytest.mark.parametrize("machine", NAMES, indirect=True)
def test_readings_are_valid(machine: Machine) -> None:
    """Families are unique and well named; samples are unique, finite and have a value for each label."""
    seen: set[str] = set()
    for reading in machine.collector().collect():
        assert not isinstance(reading, Loss), reading.problem
        if isinstance(reading, Verbatim | Late):
            continue
        family, samples = reading
        check_family(family)
        assert family.name not in seen
        seen.add(family.name)
        assert len({labels for labels, _ in samples}) == len(samples), family.name
        for labels, value in samples:
            assert len(labels) == len(family.labels)
            assert all(isinstance(label, str) for label in labels)
            assert math.isfinite(value)


@pytest.mark.parametrize("machine", NAMES, indirect=True)
def test_two_scrapes_of_the_same_machine_are_equal(machine: Machine) -> None:
    """A collector has no state that changes its output, and the output can be parsed."""
    collector, renderer = machine.collector(), Renderer()
    first, second = renderer.render(collector.collect()), renderer.render(collector.collect())

    assert first == second
    assert list(text_string_to_metric_families(first)) or not first


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_an_empty_machine_has_no_data(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With empty /proc, /sys and / a collector of files raises NoDataError; the others do not depend on them."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    collector = spec.build(Host(proc=str(tmp_path), sys=str(tmp_path), root=str(tmp_path), udev=str(tmp_path)))

    if spec.name in WITHOUT_FILES:
        assert Renderer().render(collector.collect()) or spec.name in MAY_BE_EMPTY
    else:
        with pytest.raises(NoDataError):
            collector.collect()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_this_machine_is_exported(spec: Spec) -> None:
    """On the real /proc and /sys every collector returns samples, or the machine does not have its subject."""
    try:
        text = Renderer().render(spec.build(Host()).collect())
    except NoDataError as error:
        pytest.skip(f"not on this machine: {error}")

    assert list(text_string_to_metric_families(text)) or spec.name in MAY_BE_EMPTY
