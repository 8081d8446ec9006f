"""Hardware sensors: /sys/class/hwmon (kernel: Documentation/hwmon/sysfs-interface.rst).

The files are in millivolts, milliamperes, millidegrees Celsius, microwatts and microjoules; UNITS has the divisors.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Sample, counter, gauge
from perfloop_exporter.collectors.host import decimal
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

CHIP_NAMES = gauge("node_hwmon_chip_names", "The name that a chip's driver reports; always 1.", "chip", "chip_name")
LABEL = gauge("node_hwmon_sensor_label", "What a sensor measures; always 1.", "chip", "label", "sensor")

# TYPE NUMBER _ PROPERTY, such as temp1_input.
FILE = re.compile(r"(?P<type>[^0-9]+)(?P<number>[0-9]*)(_(?P<property>.+))?")
TYPES = frozenset(
    "vrm beep_enable update_interval in cpu fan pwm temp curr power energy humidity intrusion freq".split()  # noqa: SIM905  # one line
)
UNCLEAN = re.compile(r"[^a-z0-9:_]")
FAN_SPEEDS = frozenset(("input", "min", "max", "target"))
# By type and property, else by type: the metric's suffix, and the divisor to its unit.
UNITS: dict[tuple[str, str] | str, tuple[str, int]] = {
    "in": ("_volts", 1000),
    "cpu": ("_volts", 1000),
    ("temp", "type"): ("", 1),
    "temp": ("_celsius", 1000),
    "curr": ("_amps", 1000),
    "energy": ("_joule_total", 1_000_000),
    ("power", "accuracy"): ("", 1_000_000),
    ("power", "average_interval"): ("_seconds", 1000),
    ("power", "average_interval_min"): ("_seconds", 1000),
    ("power", "average_interval_max"): ("_seconds", 1000),
    "power": ("_watt", 1_000_000),
    "humidity": ("", 1_000_000),
    **{("fan", speed): ("_rpm", 1) for speed in FAN_SPEEDS},
}
Sensors = dict[str, dict[str, str]]


def clean(name: str) -> str:
    """Normalise a name as node_exporter does for metric names and labels."""
    return UNCLEAN.sub("_", name.lower()).strip("_")


def split_file(name: str) -> tuple[str, str, str] | None:
    """Split a file name into sensor type, sensor and property: temp1_input into temp, temp1, input.

    Returns:
        None when the file does not belong to a sensor.
    """
    match = FILE.fullmatch(name)
    if match is None or match["type"] not in TYPES:
        return None
    return match["type"], f"{match['type']}{int(match['number'] or 0)}", match["property"] or ""


def name_value(kind: str, prop: str, *, has_value: bool) -> tuple[str, int]:
    """Return the metric name of a property, and the divisor of its numbers.

    Args:
        kind: Sensor type, such as `temp`.
        prop: Property, such as `input` or `max`; empty for a file without one.
        has_value: Whether the sensor also has a file without a property: `input` then needs a name of its own.
    """
    whole_sensor = {"vrm": "voltage_regulator_version", "beep_enable": "beep_enabled"}
    if kind in whole_sensor:
        return f"node_hwmon_{whole_sensor[kind]}", 1
    if kind == "update_interval":
        return "node_hwmon_update_interval_seconds", 1000
    stem = f"node_hwmon_{kind}"
    if prop not in {"", "input"} or (prop == "input" and has_value):
        stem = f"{stem}_{clean(prop)}"
    if prop in {"fault", "alarm"}:
        return stem, 1
    if prop == "beep":
        return f"{stem}_enabled", 1
    suffix, divide = UNITS.get((kind, prop)) or UNITS.get(kind, ("", 1))
    return f"{stem}{suffix}", divide


class HwmonCollector:
    """Exports every sensor of every chip; one that cannot be read now is left out."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/hwmon"
        self._chips = build_filter("hwmon", "chip", options)
        self._sensors = build_filter("hwmon", "sensor", options)
        self._families: dict[str, Family] = {}

    def collect(self) -> list[Item]:
        """Return one family per kind of measurement."""
        samples: dict[Family, list[Sample]] = {CHIP_NAMES: [], LABEL: []}
        for chip, directory in self._chips_by_name():
            if self._chips.skips(chip):
                continue
            name = clean(self._host.attribute(f"{directory}/name") or "")
            if name:
                samples[CHIP_NAMES].append(((chip, name), 1))
            for sensor, properties in self._read(directory).items():
                if not self._sensors.skips(f"{chip};{sensor}"):
                    self._add(chip, sensor, properties, samples)
        return [(family, found) for family, found in samples.items() if found]

    def _chips_by_name(self) -> list[tuple[str, str]]:
        """Return the name and the directory of each chip.

        Chips of one device have the same name: what their drivers call them keeps them apart, else the number of their
        entry, which may be another after a restart.
        """
        found = [
            (self._chip(directory), self._host.attribute(f"{directory}/name") or "", directory)
            for entry in self._host.entries(self._base)
            if os.path.isdir(directory := f"{self._base}/{entry}")  # noqa: PTH112  # no path is built
        ]
        devices = Counter(device for device, _, _ in found)
        both = Counter((device, name) for device, name, _ in found)
        chips = []
        for device, name, directory in found:
            suffix = clean(name) if both[device, name] == 1 else ""
            suffix = suffix or clean(directory.rpartition("/")[2])
            chips.append((device if devices[device] == 1 else f"{device}_{suffix}", directory))
        return chips

    def _chip(self, directory: str) -> str:
        """Return a name that is stable between boots: bus and device, else the driver's name for the chip."""
        if os.path.exists(f"{directory}/device"):  # noqa: PTH110  # no path is built
            *_, bus, device = os.path.realpath(f"{directory}/device").rsplit("/", 2)
            if clean(device):
                return "_".join(part for part in (clean(bus), clean(device)) if part)
        return clean(self._host.attribute(f"{directory}/name") or "") or clean(
            os.path.realpath(directory).rpartition("/")[2]
        )

    def _read(self, directory: str) -> Sensors:
        sensors: Sensors = {}
        # Older drivers have the sensors in the device's own directory.
        for place in (directory, f"{directory}/device"):
            with suppress(CollectorError):
                self._read_place(place, sensors)
        return sensors

    def _read_place(self, place: str, sensors: Sensors) -> None:
        for name in self._host.entries(place):
            found = split_file(name)
            text = self._host.attribute(f"{place}/{name}") if found else None
            if found and text is not None:
                sensors.setdefault(found[1], {})[found[2]] = text

    def _add(self, chip: str, sensor: str, properties: dict[str, str], samples: dict[Family, list[Sample]]) -> None:
        kind = sensor.rstrip("0123456789")
        label = properties.pop("label", None)
        if label is not None:
            samples[LABEL].append(((chip, label, sensor), 1))
        for prop, text in properties.items():
            try:
                value = decimal(text, sensor)
            except CollectorError:  # some properties are words
                continue
            name, divide = name_value(kind, prop, has_value="" in properties)
            labels = (chip, sensor)
            if (kind, prop) == ("freq", "input"):
                # node_exporter exports these by their label, in MHz, and leaves out those without one.
                if label is None:
                    continue
                name, divide, labels = "node_hwmon_freq_freq_mhz", 1_000_000, (chip, clean(label))
            samples.setdefault(self._family(name), []).append((labels, value / divide if divide > 1 else value))

    def _family(self, name: str) -> Family:
        family = self._families.get(name)
        if family is None:
            build = counter if name.endswith("_total") else gauge
            words = name.removeprefix("node_hwmon_").replace("_", " ")
            family = self._families[name] = build(name, f"Hardware monitor: {words}.", "chip", "sensor")
        return family


SPEC = Spec(
    "hwmon",
    HwmonCollector,
    "hardware sensors",
    (*filter_options("chip", "chips"), *filter_options("sensor", "sensors, each CHIP;SENSOR")),
)
