"""`calibrate` against its own server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.app.calibration import calibrate, read_calibration, write_calibration

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_what_was_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A ceiling and a timing error, kept where every later report finds them."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    assert read_calibration() is None
    measured = await calibrate(0.5)
    write_calibration(measured)
    assert read_calibration() == measured
    assert measured.requests_per_cpu_second > 1000
    assert 0 < measured.start_lag_p50_seconds <= measured.start_lag_p99_seconds
