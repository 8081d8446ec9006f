"""`calibrate` against its own server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.app.calibration import calibrate, read_calibration, write_calibration

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_was_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A ceiling and a timing error, kept where every later report finds them."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    assert read_calibration() is None
    measured = await calibrate(0.5)
    write_calibration(measured)
    assert read_calibration() == measured
    assert measured.requests_per_cpu_second > 1000
    assert 0 < measured.start_lag_p50_seconds <= measured.start_lag_p99_seconds
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["loadgen-calibration.json"]
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 4096, b'{"measured_at": 7}', b"[" * 100_000])
def test_a_corrupt_calibration_is_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, content: bytes
):
    """Cut off, overwritten, of another form: the reports go without it, the log says so, the file is kept."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    (tmp_path / "loadgen-calibration.json").write_bytes(content)
    assert read_calibration() is None
    [kept] = tmp_path.iterdir()
    assert kept.name.startswith("loadgen-calibration.json.corrupt-")
    assert kept.read_bytes() == content
    [message] = caplog.messages
    assert "is corrupt and was moved aside to" in message
