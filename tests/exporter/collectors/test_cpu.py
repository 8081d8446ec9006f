"""Counters that step back, hotplugged CPUs, and lists of CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors import cpu
from perfloop_exporter.collectors.cpu import parse_cpus, parse_range, settle
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_counter_that_steps_back_a_little_stays() -> None:
    """Jitter of the kernel is not exported as a counter reset."""
    assert settle([100, 0, 50, 1000], [99, 0, 51, 999], reset_ticks=300) == [100, 0, 51, 1000]


def test_the_counters_of_a_replugged_cpu_start_again() -> None:
    """When the idle counter falls by three seconds, all counters were reset."""
    assert settle([100, 0, 50, 1000], [1, 0, 1, 700], reset_ticks=300) == [1, 0, 1, 700]


def test_a_removed_cpu_is_no_longer_exported(tmp_path: Path) -> None:
    """Each scrape exports the CPUs that exist."""
    collector = cpu.SPEC.build(Host(proc=str(tmp_path), sys=str(tmp_path)))
    for text, expected in (("cpu0 1 2 3 4\ncpu7 1 2 3 4\n", {"0", "7"}), ("cpu7 1 2 3 4\n", {"7"})):
        (tmp_path / "stat").write_text(text)

        assert {labels[0] for labels, _ in dict(collector.collect())[cpu.SECONDS]} == expected


def test_columns_that_an_old_kernel_lacks_are_left_out() -> None:
    """Linux 2.4 had four columns."""
    assert parse_cpus("cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 1\n", Losses()) == {"0": [1, 2, 3, 4]}


@pytest.mark.parametrize(("text", "expected"), [("", []), ("0\n", ["0"]), ("0,2-4", ["0", "2", "3", "4"])])
def test_a_list_of_cpus_is_parsed(text: str, expected: list[str]) -> None:
    """It consists of numbers and ranges."""
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["4-2", "0-99999999999", "-1", "a"])
def test_an_invalid_list_is_an_error(text: str) -> None:
    """A damaged range is not expanded."""
    with pytest.raises(CollectorError):
        parse_range(text)
