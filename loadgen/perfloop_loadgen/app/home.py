"""The folder that holds what the program keeps between runs, and where the stack looks for its runs."""

from __future__ import annotations

import os
from pathlib import Path

from perfloop_base.shipped import is_checkout, shipped_root


def home() -> Path:
    """Return `PERFLOOP_HOME`, else `.perfloop` in the checkout, else (installed alone) in the current folder."""
    named = os.environ.get("PERFLOOP_HOME")
    if named:
        return Path(named)
    return (shipped_root() if is_checkout() else Path()) / ".perfloop"
