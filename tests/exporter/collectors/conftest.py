"""Machines for collectors: each directory in fixtures is one, with its own /proc, /sys and results of system calls."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_exporter.collectors import gpu, systemd_bus
from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.collectors.host import Host
from tests.exporter.collectors.fake_systemd import FakeManager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Collector
    from perfloop_exporter.collectors.spec import Spec

FIXTURES = Path(__file__).parent / "fixtures"
BY_NAME = {spec.name: spec for spec in SPECS}


class Machine:
    """A copy of a fixture directory, whose files may be damaged."""

    def __init__(self, name: str, parent: Path) -> None:
        self.name = name
        self.spec: Spec = BY_NAME[name.partition("-")[0]]
        self.golden = FIXTURES / name / "expected.prom"
        self.directory = parent / name
        shutil.copytree(FIXTURES / name, self.directory, symlinks=True)
        answers = self.directory / "host.json"
        self.answers: dict[str, Any] = json.loads(answers.read_text()) if answers.exists() else {}
        for path in self.files():
            self.restore(path, path.read_bytes())

    def files(self) -> list[Path]:
        """Return every file that the machine's kernel would have written."""
        ours = {"host.json", "nvml.json", "expected.prom", "nvidiactl"}
        found = (path for path in self.directory.rglob("*") if path.is_file() and path.name not in ours)
        return sorted(path for path in found if not path.is_symlink())

    def restore(self, path: Path, data: bytes) -> None:
        """Write a file with the modification time of the fixture."""
        path.write_bytes(data)
        os.utime(path, (self.answers.get("mtime", 0),) * 2)

    def host(self) -> Host:
        """Return the machine for collectors."""
        return Host(
            proc=str(self.directory / "proc"),
            sys=str(self.directory / "sys"),
            root=self.answers.get("root", "/").format(directory=self.directory),
            udev=str(self.directory / "udev"),
            now=lambda: self.answers.get("now", 0.0),
            statvfs=self._statvfs,
            device=self._device,
            uname=lambda: os.uname_result(self.answers["uname"]),
            adjtimex=lambda: self.answers["adjtimex"],
            tcp_dumps=lambda: [(self.directory / name).read_bytes() for name in ("tcp4.bin", "tcp6.bin")],
            route_dump=lambda kind, _family: (self.directory / f"route-{kind}.bin").read_bytes(),
            ethtool=self._ethtool,
        )

    def collector(self) -> Collector:
        """Return the collector of this machine."""
        options = self.answers.get("options", {})
        placed = {
            name: value.format(directory=self.directory) if isinstance(value, str) else value
            for name, value in options.items()
        }
        return self.spec.build(self.host(), placed)

    def _statvfs(self, path: str) -> os.statvfs_result:
        answer = self.answers["statvfs"].get(path)
        if answer is None:
            raise OSError(errno.ESTALE, "Stale file handle")
        block, blocks, free, available, files, files_free = answer
        return os.statvfs_result((block, block, blocks, free, available, files, files_free, files_free, 0, 255))

    def _ethtool(self, device: str, request: bytes, _spare: int) -> bytes:
        """Return the reply of the driver, filled up to the length of the request."""
        command = int.from_bytes(request[:4], sys.byteorder)
        reply = self.directory / "drivers" / f"{device}-{command:02x}.bin"
        if not reply.exists():
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return reply.read_bytes().ljust(len(request), b"\0")

    def _device(self, path: str) -> tuple[int, int]:
        major, minor = self.answers["devices"][path]
        return major, minor


class FakeNvml(SimpleNamespace):
    """NVML on a machine with the GPUs of nvml.json; null is a value that the model does not measure."""

    class NVMLError(Exception):
        """Any error of the library."""

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
    """Use the GPUs of the gpu fixture in place of this machine's."""
    answers = json.loads((FIXTURES / "gpu" / "nvml.json").read_text())
    monkeypatch.setattr(gpu, "load_nvml", lambda: FakeNvml(answers))


@pytest.fixture
def fake_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the units of the systemd fixture in place of this machine's."""
    answers = json.loads((FIXTURES / "systemd" / "host.json").read_text())["systemd"]
    monkeypatch.setattr(systemd_bus, "connect", lambda: FakeManager(answers))


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time to UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path, fake_nvml: None, fake_systemd: None, utc: None) -> Machine:
    """Return the machine that the test names."""
    return Machine(request.param, tmp_path)


@pytest.fixture
def machines(tmp_path: Path, fake_nvml: None, fake_systemd: None, utc: None) -> list[Machine]:
    """Return every machine: one per collector, and variants."""
    return [Machine(path.name, tmp_path) for path in sorted(FIXTURES.iterdir())]
