"""The real library on a machine without a GPU, and a driver that goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfloop_exporter.collectors import gpu
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_driver_nothing_is_told_and_nothing_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device file is missing: no sample, no failure, and the library is not asked."""

    def never() -> Any:
        raise AssertionError("the library was loaded")

    monkeypatch.setattr(gpu, "load_nvml", never)

    assert list(gpu.SPEC.build(Host(), {"device": str(tmp_path / "none")}).collect()) == []


@pytest.mark.skipif(Host().attribute("/proc/driver/nvidia/version") is not None, reason="this machine has a GPU")
def test_the_real_library_says_that_there_is_no_driver() -> None:
    """With the device file but no driver, NVML's own refusal is told as the absence of the subject."""
    pytest.importorskip("pynvml")

    with pytest.raises(NoDataError, match="NVML"):
        gpu.SPEC.build(Host(), {"device": "/dev/null"}).collect()


class Gone:
    """NVML whose driver was unloaded."""

    class NVMLError(Exception):
        """Its refusal."""

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802  # NVML's own name
        """Nothing but a refusal."""
        raise self.NVMLError("driver not loaded")


def test_a_driver_that_goes_away_fails_and_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector fails this time and loads the library again the next."""
    loaded: list[Gone] = []

    def load() -> Gone:
        loaded.append(Gone())
        return loaded[-1]

    monkeypatch.setattr(gpu, "load_nvml", load)
    collector = gpu.SPEC.build(Host(), {"device": "/dev/null"})
    for _ in range(2):
        with pytest.raises(CollectorError, match="driver not loaded"):
            collector.collect()

    assert len(loaded) == 2


def test_names_are_text_whichever_binding_hands_them_out() -> None:
    """Old bindings hand out bytes."""
    assert gpu.text_of(b"A10") == gpu.text_of("A10") == "A10"
