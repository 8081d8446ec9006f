"""Each collector on its own machine exports exactly the text of expected.prom.

`UPDATE_GOLDEN=1 pytest tests/exporter/collectors/test_golden.py` updates the files; read the diff.
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

NAMES = sorted(path.name for path in (Path(__file__).parent / "fixtures").iterdir())


@pytest.mark.parametrize("machine", NAMES, indirect=True)
def test_a_collector_exports_its_golden_file(machine: Machine) -> None:
    """The rendered text is the golden file, byte for byte."""
    text = Renderer().render(machine.collector().collect()).replace(str(machine.directory), "{directory}")
    if os.environ.get("UPDATE_GOLDEN"):
        machine.golden.write_text(text)

    assert machine.golden.read_text() == text


def test_every_collector_has_a_machine() -> None:
    """Every collector has a golden fixture."""
    assert {spec.name for spec in SPECS} == {name.partition("-")[0] for name in NAMES}
