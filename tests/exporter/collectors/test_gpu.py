"""The real library on a machine without a GPU, and a driver that is unloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfloop_exporter.collectors import gpu
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_driver_nothing_is_exported_or_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the device file there is no sample and no failure, and the library is not loaded."""

    def never() -> Any:
        raise AssertionError("the library was loaded")

    monkeypatch.setattr(gpu, "load_nvml", never)

    assert list(gpu.SPEC.build(Host(), {"device": str(tmp_path / "none")}).collect()) == []


@pytest.mark.skipif(Host().attribute("/proc/driver/nvidia/version") is not None, reason="this machine has a GPU")
def test_the_real_library_without_a_driver_is_no_data() -> None:
    """With the device file but no driver, NVML's error is a NoDataError."""
    pytest.importorskip("pynvml")

    with pytest.raises(NoDataError, match="NVML"):
        gpu.SPEC.build(Host(), {"device": "/dev/null"}).collect()


class Gone:
    """NVML whose driver was unloaded."""

    class NVMLError(Exception):
        """Any error of the library."""

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802  # NVML's own name
        """Raise."""
        raise self.NVMLError("driver not loaded")


def test_a_driver_that_is_unloaded_is_initialised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector fails, and loads the library again at the next scrape."""
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


def test_strings_are_decoded_where_a_binding_returns_bytes() -> None:
    """Old bindings return bytes, new ones str."""
    assert gpu.text_of(b"A10") == gpu.text_of("A10") == "A10"
