"""The GPUs of the monitored hosts, from the exporter's NVML collector or from DCGM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Row
from perfloop_boards.limits import FIRST_WARNS, plain
from perfloop_boards.links import of_label, to_board, to_runbook
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

# Not by the service that is chosen: a GPU belongs to a host, and which service uses it is not known.
NO_GPU = "No GPU is monitored: this machine has none, or neither the exporter's NVML collector nor DCGM is scraped."
ONE = "GPU {{gpu}} · {{instance}}"
OF_HOST = (to_board("Open the host", "system", instance=of_label("instance")),)


def _either(own: str, dcgm: str) -> str:
    # DCGM counts in percent and MiB; a GeForce has no DCGM profile, so that the exporter's NVML is asked first.
    return f"sum by (instance, gpu) ({own}) or sum by (instance, gpu) ({dcgm})"


def row(limits: Limits) -> Row:
    """Opened where a host has a GPU; without one nothing here has data."""
    panels = (_used(), _memory(), _heat(limits), _power(), _clock(), _throttled(), _errors(), _fans())
    return Row(7, [(6, panel) for panel in panels], title="GPU", collapsed=True)


def _used() -> AnyPanel:
    return lines(
        About(
            "GPU utilization",
            "Share of time with work on the GPU. Good: high under load. Low while requests wait: the CPU or the "
            "network is the limit.",
            "percentunit",
            NO_GPU,
            links=OF_HOST,
        ),
        [Query(_either("perfloop_gpu_used_ratio", "DCGM_FI_DEV_GPU_UTIL / 100"), ONE)],
    )


def _memory() -> AnyPanel:
    return lines(
        About(
            "GPU memory used",
            "vLLM allocates its share at start. Good: level. A rise means that another program uses the GPU.",
            "percentunit",
            NO_GPU,
            links=OF_HOST,
        ),
        [
            Query(
                _either(
                    "perfloop_gpu_memory_used_ratio",
                    "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)",
                ),
                ONE,
            )
        ],
    )


def _heat(limits: Limits) -> AnyPanel:
    gpu_hot = limits.alert("GpuThrottled")
    return lines(
        About(
            "GPU temperature",
            f"Good: under {plain(gpu_hot.first)} °C. Above, the GPU throttles itself: check fans and airflow.",
            "celsius",
            NO_GPU,
            links=(to_runbook("GpuThrottled"), *OF_HOST),
        ),
        [Query(_either("perfloop_gpu_temperature_celsius", "DCGM_FI_DEV_GPU_TEMP"), ONE)],
        gpu_hot,
    )


def _power() -> AnyPanel:
    return lines(
        About(
            "GPU power",
            "Good: under load, near the limit. At the limit all the time: the clock is held down; see throttling.",
            "watt",
            NO_GPU,
            links=OF_HOST,
        ),
        [
            Query(_either("perfloop_gpu_power_watts", "DCGM_FI_DEV_POWER_USAGE"), ONE),
            Query("max by (instance, gpu) (perfloop_gpu_power_limit_watts)", f"limit · {ONE}", dashed=True),
        ],
    )


def _clock() -> AnyPanel:
    return lines(
        About(
            "GPU clock",
            "Good: under load, near the highest that the GPU has. Lower: heat, its power limit, or nothing to do.",
            "hertz",
            NO_GPU,
            links=OF_HOST,
        ),
        [Query("max by (instance, gpu, clock) (perfloop_gpu_clock_hertz)", f"{{{{clock}}}} · {ONE}")],
    )


def _throttled() -> AnyPanel:
    return lines(
        About(
            "GPU held down",
            "1 while the GPU runs slower than it could, by cause. Good: 0. Power: its limit. Thermal: check fans and "
            "airflow.",
            "none",
            NO_GPU,
            links=(to_runbook("GpuClockHeldDown"), *OF_HOST),
        ),
        [Query("max by (instance, gpu, reason) (perfloop_gpu_throttled)", f"{{{{reason}}}} · {ONE}")],
        FIRST_WARNS,
    )


def _errors() -> AnyPanel:
    return lines(
        About(
            "GPU memory errors",
            "In five minutes (ECC). Good: 0. Corrected ones that come often announce the others: plan to replace it. "
            "Uncorrected ones have ended a program.",
            "none",
            "No GPU with error-correcting memory (ECC) is monitored.",
            links=(to_runbook("GpuRowRemapFailed"), *OF_HOST),
        ),
        [
            Query(
                "sum by (instance, gpu, kind) (increase(perfloop_gpu_ecc_errors_total[5m]))",
                f"{{{{kind}}}} · {ONE}",
            )
        ],
        FIRST_WARNS,
    )


def _fans() -> AnyPanel:
    return lines(
        About(
            "GPU fans",
            "Share of their highest speed. Good: under 100%. There and still hot: dust, or too little air.",
            "percentunit",
            "No GPU with fans of its own is monitored: those of servers have none.",
            links=OF_HOST,
        ),
        [Query("max by (instance, gpu) (perfloop_gpu_fan_speed_ratio)", ONE)],
    )
