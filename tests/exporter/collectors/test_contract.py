"""What every collector promises, on its fixture's machine and on this one."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.collectors.families import Renderer, Verbatim
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family
    from perfloop_exporter.collectors.spec import Spec
    from tests.exporter.collectors.conftest import Machine

NAMES = sorted(folder.name for folder in (Path(__file__).parent / "fixtures").iterdir())
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# Counters that node_exporter or cAdvisor publish without the suffix.
UNSUFFIXED = frozenset({"container_memory_failcnt"})


def check_family(family: Family) -> None:
    """A family's name, type and labels follow the rules of the text format."""
    assert NAME.fullmatch(family.name)
    assert family.help.strip()
    assert family.kind in {"counter", "gauge", "untyped"}
    assert len(set(family.labels)) == len(family.labels)
    if family.name not in UNSUFFIXED and not family.name.startswith("node_nf_conntrack_stat"):
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name


@pytest.mark.parametrize("machine", NAMES, indirect=True)
def test_what_a_collector_hands_out_is_well_formed(machine: Machine) -> None:
    """Families are unique and well named; samples are unique, finite and have a value for each label."""
    seen: set[str] = set()
    for reading in machine.collector().collect():
        if isinstance(reading, Verbatim):
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
def test_two_scrapes_of_the_same_machine_are_the_same(machine: Machine) -> None:
    """A collector keeps no state that changes its answer, and parsers read the answer."""
    collector, renderer = machine.collector(), Renderer()
    first, second = renderer.render(collector.collect()), renderer.render(collector.collect())

    assert first == second
    assert list(text_string_to_metric_families(first)) or not first


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_machine_without_anything_is_no_mistake(spec: Spec, tmp_path: Path) -> None:
    """On an empty /proc and /sys a collector tells nothing or says why, in the exporter's own errors."""
    host = Host(proc=str(tmp_path), sys=str(tmp_path), udev=str(tmp_path))

    try:
        readings = list(spec.build(host).collect())
    except CollectorError as error:
        assert str(error)  # noqa: PT017  # either outcome is right
    else:
        assert Renderer().render(readings) is not None


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_this_machine_is_told_without_a_mistake(spec: Spec) -> None:
    """On the real /proc and /sys a collector tells something or says that the machine lacks it."""
    try:
        text = Renderer().render(spec.build(Host()).collect())
    except CollectorError as error:
        text = f"# {error}"

    assert list(text_string_to_metric_families(text)) is not None
