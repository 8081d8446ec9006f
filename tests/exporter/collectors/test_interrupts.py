"""Lines of /proc/interrupts, and the flags of the collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.families import Loss, Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.interrupts import SPEC, Interrupt, parse_line
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT = """\
           CPU0       CPU2
  8:         7          0   IO-APIC   8-edge   rtc0
LOC:       100        200   Local timer interrupts
ERR:         3
"""


def export(proc: Path, text: str, options: Mapping[str, str | bool] | None = None) -> list[str]:
    """Return the labels and values of the samples."""
    (proc / "interrupts").write_text(text)
    lines = Renderer().render(SPEC.build(Host(proc=str(proc)), options).collect()).splitlines()
    return [line.removeprefix("node_interrupts_total") for line in lines if not line.startswith("#")]


def test_a_column_is_the_cpu_that_its_head_names(tmp_path: Path) -> None:
    """CPU 1 is offline: the second column is CPU 2's. ERR, which has one count for all, is left out."""
    assert export(tmp_path, TEXT) == [
        '{cpu="0",type="8",info="IO-APIC",devices="8-edge rtc0"} 7',
        '{cpu="2",type="8",info="IO-APIC",devices="8-edge rtc0"} 0',
        '{cpu="0",type="LOC",info="Local timer interrupts",devices=""} 100',
        '{cpu="2",type="LOC",info="Local timer interrupts",devices=""} 200',
    ]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"name-include": "^LOC;"}, ["LOC", "LOC"]),
        ({"name-exclude": "rtc0$"}, ["LOC", "LOC"]),
        ({"name-exclude": "timer", "name-include": "^8;IO-APIC;8-edge rtc0$"}, ["8", "8"]),
        ({"include-zeros": False}, ["8", "LOC", "LOC"]),
    ],
)
def test_flags(tmp_path: Path, options: dict[str, str | bool], kinds: list[str]) -> None:
    """Patterns are matched against NUMBER;INFO;DEVICES, and both hold at once."""
    assert [line.split('"')[3] for line in export(tmp_path, TEXT, options)] == kinds


def test_an_interrupt_whose_counts_follow_its_name_at_once_is_parsed() -> None:
    """On ARM there is no space between them."""
    assert parse_line("IPI0:1234567890 2 Rescheduling interrupts", 2) == Interrupt(
        "IPI0", "Rescheduling interrupts", "", [1234567890, 2]
    )


def test_a_damaged_line_costs_itself(tmp_path: Path) -> None:
    """The others are exported; a damaged head costs everything, since no count has a CPU."""
    (tmp_path / "interrupts").write_text(TEXT.replace("100", "1x0"))
    *readings, loss = SPEC.build(Host(proc=str(tmp_path))).collect()

    assert loss == Loss("/proc/interrupts: '1x0' is not a whole number", 1)
    assert "rtc0" in Renderer().render(readings)
    with pytest.raises(CollectorError, match="is not a list of CPUs"):
        export(tmp_path, TEXT.replace("CPU2", "CPU"))
