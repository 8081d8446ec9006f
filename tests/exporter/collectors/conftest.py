"""Machines for collectors: each fixture folder is one, with its own /proc, /sys and answers to system calls."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_exporter.collectors import gpu
from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.collectors.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Collector
    from perfloop_exporter.collectors.spec import Spec

FIXTURES = Path(__file__).parent / "fixtures"
BY_NAME = {spec.name: spec for spec in SPECS}


class Machine:
    """A copy of a fixture folder: what it holds may be damaged without harm."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.spec: Spec = BY_NAME[name.partition("-")[0]]
        self.golden = FIXTURES / name / "expected.prom"
        self.folder = folder / name
        shutil.copytree(FIXTURES / name, self.folder, symlinks=True)
        answers = self.folder / "host.json"
        self.answers: dict[str, Any] = json.loads(answers.read_text()) if answers.exists() else {}
        for path in self.files():
            self.restore(path, path.read_bytes())

    def files(self) -> list[Path]:
        """Every file that the machine's kernel would have written."""
        ours = {"host.json", "nvml.json", "expected.prom", "nvidiactl"}
        found = (path for path in self.folder.rglob("*") if path.is_file() and path.name not in ours)
        return sorted(path for path in found if not path.is_symlink())

    def restore(self, path: Path, data: bytes) -> None:
        """The file as the fixture has it, written when the fixture says."""
        path.write_bytes(data)
        os.utime(path, (self.answers.get("mtime", 0),) * 2)

    def host(self) -> Host:
        """The seam that collectors read."""
        return Host(
            proc=str(self.folder / "proc"),
            sys=str(self.folder / "sys"),
            root=self.answers.get("root", "/").format(folder=self.folder),
            udev=str(self.folder / "udev"),
            now=lambda: self.answers.get("now", 0.0),
            statvfs=self._statvfs,
            device=self._device,
            uname=lambda: os.uname_result(self.answers["uname"]),
            adjtimex=lambda: self.answers["adjtimex"],
            tcp_dumps=lambda: [(self.folder / name).read_bytes() for name in ("tcp4.bin", "tcp6.bin")],
        )

    def collector(self) -> Collector:
        """The collector that looks at this machine."""
        options = self.answers.get("options", {})
        placed = {
            name: value.format(folder=self.folder) if isinstance(value, str) else value
            for name, value in options.items()
        }
        return self.spec.build(self.host(), placed)

    def _statvfs(self, path: str) -> os.statvfs_result:
        answer = self.answers["statvfs"].get(path)
        if answer is None:
            raise OSError(errno.ESTALE, "Stale file handle")
        block, blocks, free, available, files, files_free = answer
        return os.statvfs_result((block, block, blocks, free, available, files, files_free, files_free, 0, 255))

    def _device(self, path: str) -> tuple[int, int]:
        major, minor = self.answers["devices"][path]
        return major, minor


class FakeNvml(SimpleNamespace):
    """NVML on a machine with the GPUs of nvml.json; a value of null is one that the model does not measure."""

    class NVMLError(Exception):
        """Any refusal of the library."""

    class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818  # NVML's own name
        """The model does not measure this."""

    def __init__(self, answers: dict[str, Any]) -> None:
        def of(field: str) -> Any:
            def ask(gpu_answers: dict[str, Any], *_: Any) -> Any:
                if gpu_answers[field] is None:
                    raise self.NVMLError_NotSupported
                return gpu_answers[field]

            return ask

        def indexed(field: str) -> Any:
            ask = of(field)
            return lambda handle, index, *_: ask(handle)[index]

        super().__init__(
            nvmlSystemGetDriverVersion=answers["driver"].encode,
            nvmlDeviceGetCount=lambda: len(answers["gpus"]),
            nvmlDeviceGetHandleByIndex=lambda index: answers["gpus"][index],
            nvmlDeviceGetName=of("name"),
            nvmlDeviceGetUUID=of("uuid"),
            nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=handle["memory"][0], total=handle["memory"][1]),
            nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=of("utilization")(handle)),
            nvmlDeviceGetTemperature=of("temperature"),
            nvmlDeviceGetPowerUsage=of("power"),
            nvmlDeviceGetEnforcedPowerLimit=of("power_limit"),
            nvmlDeviceGetTotalEnergyConsumption=of("energy"),
            nvmlDeviceGetFanSpeed=of("fan"),
            nvmlDeviceGetClockInfo=indexed("clocks"),
            nvmlDeviceGetTotalEccErrors=indexed("ecc"),
            nvmlDeviceGetCurrentClocksThrottleReasons=of("throttle"),
        )


@pytest.fixture
def fake_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPUs of the gpu fixture in place of this machine's."""
    answers = json.loads((FIXTURES / "gpu" / "nvml.json").read_text())
    monkeypatch.setattr(gpu, "load_nvml", lambda: FakeNvml(answers))


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC, whatever this machine's is."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path, fake_nvml: None, utc: None) -> Machine:
    """The machine that the test names."""
    return Machine(request.param, tmp_path)


@pytest.fixture
def machines(tmp_path: Path, fake_nvml: None, utc: None) -> list[Machine]:
    """Every machine there is, one for each collector and more where there are variants."""
    return [Machine(folder.name, tmp_path) for folder in sorted(FIXTURES.iterdir())]
