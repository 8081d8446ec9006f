"""Keep what `calibrate` measured, for every report of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from perfloop_loadgen.app.home import home
from perfloop_loadgen.summary.document import Calibration

if TYPE_CHECKING:
    from pathlib import Path

_ADAPTER: TypeAdapter[Calibration] = TypeAdapter(Calibration)


def calibration_path() -> Path:
    """Return where the calibration is kept."""
    return home() / "loadgen-calibration.json"


def read_calibration() -> Calibration | None:
    """Return what was measured, or None on a machine that was never calibrated."""
    try:
        return _ADAPTER.validate_json(calibration_path().read_bytes())
    except (OSError, ValidationError):
        return None


def write_calibration(calibration: Calibration) -> None:
    """Keep what was measured."""
    path = calibration_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_ADAPTER.dump_json(calibration, indent=2))
