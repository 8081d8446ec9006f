"""The wire contract against the running programs: nothing is exported that it does not name, and nothing is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.wire.contract import Metric, read_contract, read_designed
from tests.wire.declared import collector_families, library_families
from tests.wire.exposition import Exported, parse_families

if TYPE_CHECKING:
    from tests.support.live_stack import LiveStack

CONTRACT = read_contract()
REFRESH = "a deliberate change? `python -m tests.wire.record PROGRAM=URL …` prints the contract again"
PROGRAMS = sorted(CONTRACT)
live = pytest.mark.xdist_group("live-stack")


def find_faults(metrics: list[Metric], families: dict[str, Exported]) -> list[str]:
    """One sentence for each family that differs from its line in the contract, or has none."""
    faults = []
    for name, family in families.items():
        line = next((metric for metric in metrics if metric.covers(name)), None)
        if line is None:
            faults.append(f"{name}: not in the contract")
        else:
            faults += _differences(name, family, line)
    return faults


def _differences(name: str, family: Exported, line: Metric) -> list[str]:
    differences = []
    if not re.fullmatch(line.type, family.type):
        differences.append(f"{name}: a {family.type}, the contract says {line.type}")
    if line.help != family.help and not re.fullmatch(line.help, family.help):
        differences.append(f"{name}: help {family.help!r}, the contract says {line.help!r}")
    if line.labels and family.labels is not None and not line.allows(family.labels):
        differences.append(f"{name}: labels {sorted(family.labels)}, the contract says {sorted(line.labels)}")
    return differences


@live
@pytest.mark.e2e
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_exports_what_the_contract_says(live_stack: LiveStack, program: str):
    """Type, help and labels of every family are those of the contract, and every unconditional one is there."""
    live_stack.wait_for_traffic()
    families = parse_families(httpx.get(f"{getattr(live_stack, program)}/metrics", timeout=30).text)
    assert find_faults(CONTRACT[program], families) == [], REFRESH
    missing = [
        metric.name
        for metric in CONTRACT[program]
        if not metric.when and not any(metric.covers(name) for name in families)
    ]
    assert missing == []


@live
@pytest.mark.e2e
def test_what_is_only_designed_is_not_exported(live_stack: LiveStack):
    """The list of names to come shrinks by itself: an exported one must move to its program's lines."""
    exported = {
        name
        for program in PROGRAMS
        for name in parse_families(httpx.get(f"{getattr(live_stack, program)}/metrics", timeout=30).text)
    }
    assert exported & set(read_designed()) == set()


def test_every_collector_keeps_to_the_contract():
    """Collectors that have nothing to say on this machine are held to it as well."""
    assert find_faults(CONTRACT["exporter"], collector_families()) == [], REFRESH


def test_the_whole_library_keeps_to_the_contract():
    """Parts of the instrumentation that the demo does not use are held to it as well."""
    assert find_faults(CONTRACT["demo"], library_families()) == [], REFRESH


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_family_has_two_lines(program: str):
    """A name has one home."""
    names = [metric.name for metric in CONTRACT[program]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("program", PROGRAMS)
def test_names_follow_the_conventions(program: str):
    """Counters end in _total, no gauge does, and nothing carries a unit that is not a base unit."""
    plain = [metric for metric in CONTRACT[program] if metric.name.isidentifier()]
    assert [m.name for m in plain if m.type == "counter" and not m.name.endswith("_total") and m.name != FAILCNT] == []
    assert {m.name for m in plain if m.type == "gauge" and m.name.endswith("_total")} <= {REFUSED}
    scaled = {m.name for m in plain if re.search(r"_(ms|milliseconds|percent|kb|mb)(_|$)", m.name)}
    assert {name for name in scaled if not name.startswith(PERCENTAGES)} == set()


FAILCNT = "container_memory_failcnt"  # cAdvisor's own name for it
PERCENTAGES = ("node_bcache_",)  # node_exporter's own names
REFUSED = "node_systemd_socket_refused_connections_total"  # a gauge in node_exporter
