"""Batteries and power supplies: /sys/class/power_supply (kernel: Documentation/ABI/testing/sysfs-class-power)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family, Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


class Value(NamedTuple):
    """What a file becomes: its family, and what its number is divided by."""

    family: Family
    divisor: int


def _values(divisor: int, unit: str, names: dict[str, str]) -> dict[str, Value]:
    return {
        file: Value(
            gauge(f"node_power_supply_{name}", f"{file.replace('_', ' ')} of a supply{unit}.", "power_supply"), divisor
        )
        for file, name in names.items()
    }


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


VALUES = {
    **_values(
        1,
        "",
        _same("authentic", "calibrate", "capacity", "capacity_alert_max", "capacity_alert_min", "online", "present")
        | {
            "cycle_count": "cyclecount",
            "time_to_empty_now": "time_to_empty_seconds",
            "time_to_full_now": "time_to_full_seconds",
        },
    ),
    **_values(
        1_000_000,
        ", in amperes",
        _same("charge_term_current", "constant_charge_current", "constant_charge_current_max", "current_boot")
        | _same("current_max", "input_current_limit", "precharge_current")
        | {"current_now": "current_ampere"},
    ),
    **_values(
        1_000_000,
        ", in ampere-hours",
        _same("charge_counter", "charge_empty", "charge_empty_design", "charge_full", "charge_full_design")
        | {"charge_now": "charge_ampere"},
    ),
    # Steps of the charger, which node_exporter divides like the others.
    **_values(1_000_000, ", in millionths", _same("charge_control_limit", "charge_control_limit_max")),
    **_values(
        1_000_000,
        ", in watt-hours",
        _same("energy_empty", "energy_empty_design", "energy_full", "energy_full_design")
        | {"energy_now": "energy_watthour"},
    ),
    **_values(
        1_000_000,
        ", in volts",
        _same("constant_charge_voltage", "constant_charge_voltage_max", "voltage_boot", "voltage_max")
        | _same("voltage_max_design", "voltage_min", "voltage_min_design", "voltage_ocv")
        | {"voltage_now": "voltage_volt"},
    ),
    **_values(1_000_000, ", in watts", {"power_now": "power_watt"}),
    **_values(
        10,
        ", in degrees Celsius",
        {
            name: f"{name}_celsius"
            for name in (
                *("temp", "temp_alert_max", "temp_alert_min", "temp_ambient", "temp_ambient_max"),
                *("temp_ambient_min", "temp_max", "temp_min"),
            )
        },
    ),
}
TEXTS = (
    *("capacity_level", "charge_type", "health", "manufacturer", "model_name", "scope", "serial_number", "status"),
    *("technology", "type", "usb_type"),
)
INFO = gauge("node_power_supply_info", "What a supply is, and its state; always 1.", "power_supply", *TEXTS)


class PowerSupplyClassCollector:
    """Exports every battery, mains adapter, UPS and USB port that the kernel takes for a power supply."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/power_supply"
        self._ignored = pattern("powersupplyclass", "ignored-supplies", options.text("ignored-supplies"))

    def collect(self) -> list[Item]:
        """Return one sample per supply and file.

        Raises:
            NoDataError: The machine has no such supply, as most servers and virtual machines.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, (INFO, *(value.family for value in VALUES.values())))
        supplies = self._host.entries(self._base)
        if not supplies:
            raise NoDataError(f"{self._base}: no power supply")
        for supply in supplies:
            if self._ignored is None or not self._ignored.search(supply):
                with losses:
                    self._read_supply(supply, numbers)
        return losses.settle(numbers.readings())

    def _read_supply(self, supply: str, numbers: Numbers) -> None:
        path = f"{self._base}/{supply}"
        # A supply has a few of the files, and opening those that it lacks would cost most of the time.
        present = set(self._host.entries(path))
        for file in present & VALUES.keys():
            number = numbers.read(f"{path}/{file}", least=None)
            family, divisor = VALUES[file]
            numbers.add(family, (supply,), None if number is None else number / divisor)
        texts = [(self._host.attribute(f"{path}/{file}") or "") if file in present else "" for file in TEXTS]
        numbers.add(INFO, (supply, *texts), 1)


SPEC = Spec(
    "powersupplyclass",
    seldom(PowerSupplyClassCollector),
    "batteries and power supplies",
    (
        Option(
            "ignored-supplies",
            "^$",
            "regular expression of supplies to leave out",
            flag="--collector.powersupply.ignored-supplies",
        ),
    ),
)
