"""The real programs: found on PATH, else in `.perfloop/bin`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def home() -> Path:
    """Return the folder where a run leaves everything: `PERFLOOP_HOME`, else `.perfloop` in the checkout."""
    return Path(os.environ.get("PERFLOOP_HOME") or CHECKOUT / ".perfloop").resolve()


def find(name: str) -> Path | None:
    """Return the program's path, or None where it is not to be had without a download."""
    candidates = [home() / "bin" / name, CHECKOUT / ".perfloop" / "bin" / name]
    fetched = next((path for path in candidates if os.access(path, os.X_OK)), None)
    if fetched is not None:
        return fetched
    on_path = shutil.which(name)
    return Path(on_path) if on_path else None
