"""The folder that holds what the program keeps between runs."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return `PERFLOOP_HOME`, else `.perfloop` in the current folder."""
    return Path(os.environ.get("PERFLOOP_HOME") or ".perfloop")
