"""What people call each signal of the analyzer, read from its catalogue: a name lives once."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml

from perfloop_base.shipped import shipped_root

CATALOGUE = Path(str(files("perfloop_analyzer"))) / "catalog"
THRESHOLDS = shipped_root() / "prometheus" / "thresholds.yml"


def read_titles() -> dict[str, str]:
    """The title of every signal that the catalogue gives one."""
    catalogues = sorted(CATALOGUE.glob("*.yml"))
    signals = [one for file in catalogues for one in yaml.safe_load(file.read_text(encoding="utf-8"))["signals"]]
    return {one["name"]: one["title"] for one in signals if one.get("title")}


def read_judged_apart() -> list[str]:
    """The signals that can have a limit of their own for one service or route: the analyzer names them `name@route`."""
    signals = yaml.safe_load(THRESHOLDS.read_text(encoding="utf-8"))["signals"]
    return [one["signal"] for one in signals if "record_by_route" in one]
