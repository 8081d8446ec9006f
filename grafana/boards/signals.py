"""What people call each signal of the analyzer, read from its catalogue: a name lives once."""

from __future__ import annotations

from pathlib import Path

import yaml

CATALOGUE = Path(__file__).resolve().parents[2] / "analyzer" / "catalog"


def read_titles() -> dict[str, str]:
    """The title of every signal that the catalogue gives one."""
    files = sorted(CATALOGUE.glob("*.yml"))
    signals = [one for file in files for one in yaml.safe_load(file.read_text(encoding="utf-8"))["signals"]]
    return {one["name"]: one["title"] for one in signals if one.get("title")}
