"""Each collector on its own machine tells exactly what stands in expected.prom.

`UPDATE_GOLDEN=1 pytest tests/exporter/collectors/test_golden.py` writes the files anew; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.collectors.families import Renderer

if TYPE_CHECKING:
    from tests.exporter.collectors.conftest import Machine

NAMES = sorted(folder.name for folder in (Path(__file__).parent / "fixtures").iterdir())


@pytest.mark.parametrize("machine", NAMES, indirect=True)
def test_a_collector_tells_what_its_golden_file_says(machine: Machine) -> None:
    """The rendered text is the golden file, byte for byte."""
    text = Renderer().render(machine.collector().collect()).replace(str(machine.folder), "{folder}")
    if os.environ.get("UPDATE_GOLDEN"):
        machine.golden.write_text(text)

    assert machine.golden.read_text() == text


def test_every_collector_has_a_machine() -> None:
    """No collector is without a golden fixture."""
    assert {spec.name for spec in SPECS} == {name.partition("-")[0] for name in NAMES}
