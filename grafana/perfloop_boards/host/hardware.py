"""Hardware and clock: temperatures, fans, frequencies, throttling; whether the clock follows a time server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.glance import CLOCK_WRONG
from perfloop_boards.host.selection import NO_HOST, OF_HOST, level, named
from perfloop_boards.limits import FIRST_WARNS, seconds
from perfloop_boards.panels import About, lines, timeline
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from perfloop_boards.panels import AnyPanel

NO_SENSORS = "The chosen hosts have no sensor that the kernel reads: virtual machines have none."
NO_CLOCK = "The kernel's clock discipline (timex) is not collected from the chosen hosts."
SENSOR = ("instance", "chip", "sensor")
CORE = ("instance", "cpu")


def details() -> Row:
    """Opened when a host is slow without being busy, or its times do not fit."""
    panels = (_temperatures(), _fans(), _power(), _frequencies(), _throttled(), _offset(), _synchronised(), _entropy())
    return Row(7, [(6, panel) for panel in panels], title="Hardware and clock", collapsed=True)


def _temperatures() -> AnyPanel:
    return lines(
        About(
            "Temperatures",
            "The ten hottest sensors. Good: level, far below what the maker allows (80 to 100 °C for a CPU). Above, it "
            "is slowed: see thermal throttling.",
            "celsius",
            NO_SENSORS,
            links=OF_HOST,
        ),
        [
            Query(level("node_hwmon_temp_celsius", by=SENSOR), "{{chip}} {{sensor}} · {{instance}}"),
            Query(level("node_thermal_zone_temp", by=("instance", "zone", "type")), "{{type}} {{zone}} · {{instance}}"),
        ],
    )


def _fans() -> AnyPanel:
    return lines(
        About(
            "Fans",
            "Turns per minute. A fan that was turning and reads 0 has failed, or is blocked.",
            "rotrpm",
            NO_SENSORS,
            links=OF_HOST,
        ),
        [Query(level("node_hwmon_fan_rpm", by=SENSOR), "{{chip}} {{sensor}} · {{instance}}")],
    )


def _power() -> AnyPanel:
    return lines(
        About(
            "Power and cooling",
            "Watts that the sensors measure, and how hard each cooling device works as a share of what it can.",
            "none",
            NO_SENSORS,
            links=OF_HOST,
        ),
        [
            Query(level("node_hwmon_power_average_watt", by=SENSOR), "W, {{chip}} {{sensor}} · {{instance}}"),
            Query(
                f"{named('node_cooling_device_cur_state')} / ({named('node_cooling_device_max_state')} > 0)",
                "cooling, {{type}} {{name}} · {{instance}}",
            ),
        ],
    )


def _frequencies() -> AnyPanel:
    return lines(
        About(
            "CPU frequency",
            "Of the ten fastest cores. Good under load: near the highest that the CPU has. Lower: heat, a power "
            "limit, or a governor that saves energy.",
            "hertz",
            "The chosen hosts do not report the frequency of their CPUs: virtual machines rarely do.",
            links=OF_HOST,
        ),
        [
            Query(level("node_cpu_scaling_frequency_hertz", by=CORE), "CPU {{cpu}} · {{instance}}"),
            Query(f"max by (instance) ({named('node_cpu_scaling_frequency_max_hertz')})", "highest · {{instance}}"),
        ],
    )


def _throttled() -> AnyPanel:
    return lines(
        About(
            "CPU thermal throttling",
            "How often a core or a package was slowed for its heat within five minutes. Good: 0. Check fans and "
            "airflow.",
            "none",
            "The chosen hosts do not count thermal throttling: virtual machines do not.",
            links=OF_HOST,
        ),
        [
            Query(
                f"sum by (instance) (increase({named(f'node_cpu_{part}_throttles_total')}[5m]))",
                f"{part} · {{{{instance}}}}",
            )
            for part in ("core", "package")
        ],
        FIRST_WARNS,
    )


def _offset() -> AnyPanel:
    return lines(
        About(
            "Clock offset and error",
            f"Good: an offset under {seconds(CLOCK_WRONG.first)}. The estimated error grows while no time server "
            "answers; 16 s means that none has ever been followed.",
            "s",
            NO_CLOCK,
            links=OF_HOST,
        ),
        [
            Query(f"abs({named('node_timex_offset_seconds')})", "offset · {{instance}}"),
            Query(named("node_timex_estimated_error_seconds"), "estimated error · {{instance}}"),
            Query(named("node_timex_maxerror_seconds"), "largest error · {{instance}}"),
        ],
        CLOCK_WRONG,
    )


def _synchronised() -> AnyPanel:
    return timeline(
        About(
            "Clock synchronised",
            "Whether the clock follows a time server. Good: yes. No: start chrony or systemd-timesyncd. A virtual "
            "machine may have its time from its host instead.",
            "none",
            NO_CLOCK,
            links=OF_HOST,
        ),
        Query(named("node_timex_sync_status"), "{{instance}}"),
        {"0": ("no", colours.WARNING), "1": ("yes", colours.GOOD)},
    )


def _entropy() -> AnyPanel:
    return lines(
        About(
            "Entropy and clock frequency",
            "Random bits ready: 256 is full since Linux 5.18. Correction of the clock's frequency in parts per "
            "million: near ±500 the clock cannot be held.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(named("node_entropy_available_bits"), "entropy, bits · {{instance}}"),
            Query(f"({named('node_timex_frequency_adjustment_ratio')} - 1) * 1e6", "correction, ppm · {{instance}}"),
        ],
    )
