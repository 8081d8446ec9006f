"""What drivers of network devices count, offer and are, which they return to SIOCETHTOOL: linux/ethtool.h."""

from __future__ import annotations

import re
import struct
from errno import ENODEV, ENOTTY, EOPNOTSUPP
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.ethtool_modes import ASYMMETRIC_PAUSE, AUTONEGOTIATION, PAUSE, PORTS, SPEEDS
from perfloop_exporter.collectors.families import Family, Sample, gauge, sanitize
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Filter, Option, Spec, filter_options, pattern
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

INFO = gauge(
    "node_ethtool_info",
    "Driver and firmware of a network device; always 1.",
    *("bus_info", "device", "driver", "expansion_rom_version", "firmware_version", "version"),
)
SUPPORTED_PORT = gauge(
    "node_network_supported_port_info", "A kind of port that the device supports; always 1.", "device", "type"
)
AUTONEGOTIATE = gauge("node_network_autonegotiate", "Whether the device uses autonegotiation now.", "device")


class Modes(NamedTuple):
    """The families of what a device can do, or of what it offers to the other end."""

    speed: Family
    autonegotiate: Family
    pause: Family
    asymmetric_pause: Family


def _modes(word: str, verb: str) -> Modes:
    return Modes(
        gauge(f"node_network_{word}_speed_bytes", f"A speed that the device {verb}.", "device", "duplex", "mode"),
        gauge(f"node_network_autonegotiate_{word}", f"Whether the device {verb} autonegotiation.", "device"),
        gauge(f"node_network_pause_{word}", f"Whether the device {verb} pause frames.", "device"),
        gauge(
            f"node_network_asymmetricpause_{word}",
            f"Whether the device {verb} pause frames in one direction.",
            "device",
        ),
    )


SUPPORTED, ADVERTISED = _modes("supported", "supports"), _modes("advertised", "offers")
FIXED = (INFO, SUPPORTED_PORT, AUTONEGOTIATE, *SUPPORTED, *ADVERTISED)
# Metrics of driver statistics are node_ethtool_NAME but for these, which most drivers have.
WELL_KNOWN = {
    f"{prefix}_{what}": f"node_ethtool_{word}_{what}_total"
    for prefix, word, counted in (
        ("rx", "received", ("bytes", "dropped", "errors", "packets")),
        ("tx", "transmitted", ("bytes", "errors", "packets")),
    )
    for what in counted
}
RECEIVED, TRANSMITTED = re.compile(r"(^|_)rx(_|$)"), re.compile(r"(^|_)tx(_|$)")

# Commands, and the structures of their replies.
GET_SETTINGS, GET_DRIVER, GET_STRINGS, GET_STATISTICS = 0x1, 0x3, 0x1B, 0x1D
SETTINGS = struct.Struct("=III7xB24x")  # struct ethtool_cmd: supported, advertising, autoneg
DRIVER = struct.Struct("=I32s32s32s32s32s12xII12x")  # struct ethtool_drvinfo, with n_stats last
STRINGS_HEADER, STATISTICS_HEADER = struct.Struct("=III"), struct.Struct("=II")
STATISTICS_SET = 1
STRING_BYTES, NUMBER_BYTES = 32, 8
MOST_STATISTICS = 1 << 15
# The kernel writes as many as the driver has then: queues may have been added since it was asked how many there are.
SPARE = 4096
UNSUPPORTED = frozenset({EOPNOTSUPP, ENODEV, ENOTTY})


class Driver(NamedTuple):
    """What a driver says of itself, and how many statistics it has."""

    name: str
    version: str
    firmware: str
    bus: str
    expansion_rom: str
    statistics: int


@lru_cache(maxsize=4096)
def statistic_name(name: str) -> str:
    """Return the name of the metric of a driver's statistic; rx and tx are written out."""
    if name in WELL_KNOWN:
        return WELL_KNOWN[name]
    cleaned = RECEIVED.sub(r"\1received\2", sanitize(name).lower().lstrip("_"))
    return "node_ethtool_" + TRANSMITTED.sub(r"\1transmitted\2", cleaned)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


class EthtoolCollector:
    """Exports statistics, modes and driver of every network device of the exporter's own network namespace."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._devices = Filter(
            *(pattern("ethtool", name, options.text(name)) for name in ("device-exclude", "device-include"))
        )
        self._wanted = pattern("ethtool", "metrics-include", options.text("metrics-include"))

    def collect(self) -> list[Item]:
        """Return what each driver supports."""
        losses = Losses()
        samples: dict[Family, list[Sample]] = {family: [] for family in FIXED}
        statistics: dict[str, tuple[Family, list[Sample]]] = {}
        for device in self._host.entries(f"{self._host.sys}/class/net"):
            if self._devices.skips(device):
                continue
            with losses:
                self._read_modes(device, samples)
            with losses:
                driver = self._read_driver(device, samples)
                for name, value in self._read_statistics(device, driver).items():
                    metric = statistic_name(name)
                    family = Family(metric, "untyped", f"Statistic {name} of the driver.", ("device",))
                    statistics.setdefault(metric, (family, []))[1].append(((device,), value))
        return losses.settle([*samples.items(), *(statistics[metric] for metric in sorted(statistics))])

    def _read_modes(self, device: str, samples: dict[Family, list[Sample]]) -> None:
        reply = self._ask(device, struct.pack("=I40x", GET_SETTINGS))
        if reply is None:
            return
        _, supported, advertised, autonegotiation = SETTINGS.unpack(reply)
        for families, modes in ((SUPPORTED, supported), (ADVERTISED, advertised)):
            samples[families.speed] += [
                ((device, speed.duplex, speed.mode), speed.bytes_per_second)
                for bit, speed in SPEEDS.items()
                if modes >> bit & 1
            ]
            samples[families.autonegotiate].append(((device,), modes >> AUTONEGOTIATION & 1))
            samples[families.pause].append(((device,), modes >> PAUSE & 1))
            samples[families.asymmetric_pause].append(((device,), modes >> ASYMMETRIC_PAUSE & 1))
        samples[SUPPORTED_PORT] += [((device, port), 1) for bit, port in PORTS.items() if supported >> bit & 1]
        samples[AUTONEGOTIATE].append(((device,), autonegotiation))

    def _read_driver(self, device: str, samples: dict[Family, list[Sample]]) -> int:
        """Return how many statistics the driver has."""
        reply = self._ask(device, struct.pack("=I192x", GET_DRIVER))
        if reply is None:
            return 0
        _, *texts, _, statistics = DRIVER.unpack(reply)
        driver, version, firmware, bus, expansion_rom = map(_text, texts)
        samples[INFO].append(((bus, device, driver, expansion_rom, firmware, version), 1))
        return int(statistics)

    def _read_statistics(self, device: str, count: int) -> dict[str, int]:
        """Return the statistics that are wanted, by their names without characters that a metric cannot have."""
        if not count:
            return {}
        if count > MOST_STATISTICS:
            raise CollectorError(f"ethtool: {device} has {count} statistics, more than {MOST_STATISTICS}")
        request = STRINGS_HEADER.pack(GET_STRINGS, STATISTICS_SET, count) + bytes(count * STRING_BYTES)
        names = self._ask(device, request, SPARE * STRING_BYTES)
        request = STATISTICS_HEADER.pack(GET_STATISTICS, count) + bytes(count * NUMBER_BYTES)
        numbers = self._ask(device, request, SPARE * NUMBER_BYTES)
        if names is None or numbers is None:
            return {}
        if (STRINGS_HEADER.unpack_from(names)[2], STATISTICS_HEADER.unpack_from(numbers)[1]) != (count, count):
            raise CollectorError(f"ethtool: the statistics of {device} changed while they were read")
        found: dict[str, int] = {}
        metrics: dict[str, list[str]] = {}
        for index, (value,) in enumerate(struct.iter_unpack("=Q", numbers[STATISTICS_HEADER.size :])):
            start = STRINGS_HEADER.size + index * STRING_BYTES
            name = sanitize(_text(names[start : start + STRING_BYTES]))
            if name and (self._wanted is None or self._wanted.search(name)):
                found[name] = value
                metrics.setdefault(statistic_name(name), []).append(name)
        # As in node_exporter: which one of several statistics a metric's name would stand for is unknown.
        return {same[0]: found[same[0]] for same in metrics.values() if len(same) == 1}

    def _ask(self, device: str, request: bytes, spare: int = 0) -> bytes | None:
        """Return the reply, None where the driver does not support the request."""
        try:
            reply = self._host.ethtool(device, request, spare)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                return None
            raise CollectorError(f"ethtool: {device}: {error.strerror}") from error
        if len(reply) != len(request):
            raise CollectorError(f"ethtool: the reply of {device} is cut short")
        return reply


SPEC = Spec(
    "ethtool",
    EthtoolCollector,
    "statistics, modes and drivers of network devices",
    (
        *filter_options("device", "devices"),
        Option("metrics-include", ".*", "regular expression of statistics to export"),
    ),
    default=False,
)
