"""The folder that holds what the program keeps between runs, and where the stack looks for its runs."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def home() -> Path:
    """Return `PERFLOOP_HOME`, else `.perfloop` in the checkout, else (installed alone) in the current folder."""
    named = os.environ.get("PERFLOOP_HOME")
    if named:
        return Path(named)
    return (_ROOT if (_ROOT / "pyproject.toml").is_file() else Path()) / ".perfloop"
