"""docs/instrument.md names every metric."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRINT_NAMES = """
from perfloop_exporter.instrument import instrument
from perfloop_exporter.metrics.registry import DEFAULT
instrument(lambda scope, receive, send: None)
print("\\n".join(DEFAULT._families))
"""


def test_every_metric_is_in_the_table_and_no_other(checkout: Path):
    """The table and the code have the same names; the library's own counters are named in the text."""
    page = (checkout / "docs" / "instrument.md").read_text()
    made = subprocess.run([sys.executable, "-c", PRINT_NAMES], capture_output=True, text=True, check=True, cwd=checkout)
    names = set(made.stdout.split())
    table = page.partition("## Metrics")[2].partition("## What it costs")[0]
    named = set(
        re.findall(
            r"`((?:http|db|cache|gen_ai)_[a-z_]+(?:seconds|total|requests|websockets|count|max|per_call))`", table
        )
    )
    assert named == {name for name in names if not name.startswith("perfloop_")}
    assert {name for name in names if name.startswith("perfloop_") and name not in page} == set()
