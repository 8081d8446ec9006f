"""NVIDIA GPUs: NVML, through nvidia-ml-py.

Units of NVML (nvml.h): memory in bytes, power in milliwatts, energy in millijoules, clocks in MHz.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from perfloop_exporter.collectors.families import Family, Sample, counter, gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

MEGA = 1_000_000
PERCENT = 100
MILLI = 1000


def _gauge(name: str, help_: str, *labels: str) -> Family:
    return gauge(f"perfloop_gpu_{name}", help_, "gpu", *labels)


INFO = _gauge("info", "What a GPU is; always 1.", "driver_version", "name", "uuid")
USED = _gauge("used_ratio", "Share of the last sample period in which a kernel ran on the GPU.")
MEMORY_USED = _gauge("memory_used_bytes", "Memory of the GPU that is used.")
MEMORY_TOTAL = _gauge("memory_total_bytes", "Memory of the GPU.")
MEMORY_RATIO = _gauge("memory_used_ratio", "Share of the GPU's memory that is used.")
TEMPERATURE = _gauge("temperature_celsius", "Temperature of the GPU.")
POWER = _gauge("power_watts", "Power that the GPU draws.")
POWER_LIMIT = _gauge("power_limit_watts", "Power above which the GPU slows itself.")
ENERGY = counter("perfloop_gpu_energy_joules_total", "Energy that the GPU used since its driver was loaded.", "gpu")
CLOCK = _gauge("clock_hertz", "Frequency of a clock of the GPU.", "clock")
FAN = _gauge("fan_speed_ratio", "Speed that the fan is asked for.")
ECC = counter("perfloop_gpu_ecc_errors_total", "Memory errors since the driver was loaded.", "gpu", "kind")
THROTTLED = _gauge("throttled", "Whether the clocks are held down for this reason.", "reason")
FAMILIES = (
    *(INFO, USED, MEMORY_USED, MEMORY_TOTAL, MEMORY_RATIO, TEMPERATURE),
    *(POWER, POWER_LIMIT, ENERGY, CLOCK, FAN, ECC, THROTTLED),
)

# nvml.h: nvmlClockType_t, nvmlMemoryErrorType_t, and the nvmlClocksThrottleReason bits except idle and user settings.
CLOCKS = {"graphics": 0, "sm": 1, "memory": 2}
ERRORS = {"corrected": 0, "uncorrected": 1}
VOLATILE = 0
REASONS = {"power": 0x04, "hardware": 0x08, "thermal_software": 0x20, "thermal_hardware": 0x40, "power_brake": 0x80}

Samples = dict[Family, list[Sample]]


def text_of(value: str | bytes) -> str:
    """Decode a string of NVML, which old bindings return as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class GpuCollector:
    """Exports every GPU; what a model does not measure, such as ECC on a GeForce, is left out."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._device = options.text("device")
        self._nvml: Any = None

    def collect(self) -> list[Item]:
        """Return one sample per GPU and measurement."""
        if self._nvml is None and not os.path.exists(self._device):  # noqa: PTH110  # one stat, no path built per scrape
            return []  # without the driver there is no GPU, and the library's megabytes need not be loaded
        nvml = self._library()
        losses = Losses()
        samples: Samples = {family: [] for family in FAMILIES}
        try:
            driver = text_of(nvml.nvmlSystemGetDriverVersion())
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            self._nvml = None  # the driver was unloaded: initialise again at the next scrape
            raise CollectorError(f"NVML: {error}") from error
        for index in range(count):
            gpu = _Gpu(nvml, index, samples, losses)
            handle = gpu.ask("handle", partial(nvml.nvmlDeviceGetHandleByIndex, index))
            if handle is not None:  # else it fell off the bus
                gpu.look(handle, driver)
        return losses.settle(list(samples.items()))

    def _library(self) -> Any:
        if self._nvml is not None:
            return self._nvml
        self._nvml = load_nvml()
        return self._nvml


class _Gpu:
    """One GPU that is asked; a question that fails costs its own sample."""

    def __init__(self, nvml: Any, index: int, samples: Samples, losses: Losses) -> None:
        self._nvml = nvml
        self._label = str(index)
        self._samples = samples
        self._losses = losses

    def ask(self, what: str, measure: Callable[[], Any]) -> Any:
        """Return what the GPU measures; None where the model does not, or where it fails, which is a loss."""
        try:
            return measure()
        except self._nvml.NVMLError_NotSupported:
            return None
        except self._nvml.NVMLError as error:
            self._losses.note(CollectorError(f"NVML: {what} of GPU {self._label}: {error}"))
            return None

    def add(self, family: Family, measure: Callable[[], float], *labels: str) -> None:
        """Add a sample where there is a value."""
        value = self.ask(family.name, measure)
        if value is not None:
            self._samples[family].append(((self._label, *labels), value))

    def look(self, handle: Any, driver: str) -> None:
        """Add every sample."""
        nvml = self._nvml
        name = self.ask("name", lambda: nvml.nvmlDeviceGetName(handle)) or ""
        uuid = self.ask("UUID", lambda: nvml.nvmlDeviceGetUUID(handle)) or ""
        self.add(INFO, lambda: 1, driver, text_of(name), text_of(uuid))
        memory = self.ask("memory", lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        if memory is not None:
            self.add(MEMORY_USED, lambda: memory.used)
            self.add(MEMORY_TOTAL, lambda: memory.total)
            if memory.total:
                self.add(MEMORY_RATIO, lambda: memory.used / memory.total)
        self._add_measurements(handle)

    def _add_measurements(self, handle: Any) -> None:
        nvml, add = self._nvml, self.add
        add(USED, lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / PERCENT)
        add(TEMPERATURE, lambda: nvml.nvmlDeviceGetTemperature(handle, 0))
        add(POWER, lambda: nvml.nvmlDeviceGetPowerUsage(handle) / MILLI)
        add(POWER_LIMIT, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / MILLI)
        add(ENERGY, lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / MILLI)
        add(FAN, lambda: nvml.nvmlDeviceGetFanSpeed(handle) / PERCENT)
        for clock, number in CLOCKS.items():
            add(CLOCK, partial(_clock, nvml, handle, number), clock)
        for kind, number in ERRORS.items():
            add(ECC, partial(nvml.nvmlDeviceGetTotalEccErrors, handle, number, VOLATILE), kind)
        for reason, bit in REASONS.items():
            add(THROTTLED, partial(_throttled, nvml, handle, bit), reason)


def _clock(nvml: Any, handle: Any, number: int) -> float:
    return int(nvml.nvmlDeviceGetClockInfo(handle, number)) * MEGA


def _throttled(nvml: Any, handle: Any, bit: int) -> int:
    return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) & bit > 0)


def load_nvml() -> Any:
    """Import and initialise NVIDIA's library.

    Raises:
        NoDataError: nvidia-ml-py is not installed, or there is no driver.
    """
    try:
        import pynvml
    except ImportError as error:
        raise NoDataError("nvidia-ml-py is not installed: pip install 'perfloop[exporter]'") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoDataError(f"NVML: {error}") from error
    return pynvml


SPEC = Spec(
    "gpu",
    GpuCollector,
    "NVIDIA GPUs (NVML)",
    (Option("device", "/dev/nvidiactl", "file that exists while NVIDIA's driver is loaded"),),
)
