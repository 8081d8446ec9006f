"""Parsers: edge cases of their formats."""

from __future__ import annotations

import socket
import struct

import pytest

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors import tcpstat
from perfloop_exporter.collectors.cgroup import parse_paths
from perfloop_exporter.collectors.filesystem import parse_mount, unescape
from perfloop_exporter.collectors.host import Host, decimal, whole
from perfloop_exporter.collectors.hwmon import clean, name_value, split_file
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.netlink import tcp_dumps
from perfloop_exporter.collectors.spec import Options, Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r"1 0 8:1 / /a\040b rw - ext4 /dev/x rw", ("/dev/x", "/a b", "ext4", "8:1", False)),
        ("1 0 8:1 / / ro shared:1 master:2 - ext4 /dev/x rw", ("/dev/x", "/", "ext4", "8:1", True)),
        ("1 0 0:5 / / rw - btrfs  rw,emergency_ro", ("", "/", "btrfs", "0:5", True)),
        ("1 0 0:5 / /x rw - fuse.sshfs a@b:", ("a@b:", "/x", "fuse.sshfs", "0:5", False)),
    ],
)
def test_a_mount_is_parsed(line: str, expected: tuple[str, str, str, str, bool]) -> None:
    """Optional tags, octal escapes, an empty source and missing super options are valid."""
    assert expected == tuple(parse_mount(line))


@pytest.mark.parametrize("line", ["", "1 0 8:1 / / rw", "1 0 8 / / rw - ext4 x rw", "1 0 a:b / / rw - ext4 x rw"])
def test_an_invalid_mount_is_an_error(line: str) -> None:
    """Lines that are cut short or have invalid numbers raise."""
    with pytest.raises(CollectorError, match="is not a mount"):
        parse_mount(line)


def test_octal_escapes_are_replaced() -> None:
    """Space, tab, newline and backslash are; anything else stays."""
    assert unescape(r"\040\011\012\134\999x") == " \t\n\\\\999x"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("temp1_input", ("temp", "temp1", "input")),
        ("temp1_crit_alarm", ("temp", "temp1", "crit_alarm")),
        ("pwm1", ("pwm", "pwm1", "")),
        ("beep_enable", ("beep_enable", "beep_enable0", "")),
        ("update_interval", ("update_interval", "update_interval0", "")),
        ("name", None),
        ("uevent", None),
        ("fan_div", None),
    ],
)
def test_a_file_name_is_split_into_type_sensor_and_property(name: str, expected: tuple[str, str, str] | None) -> None:
    """Files that are not a sensor's give None."""
    assert split_file(name) == expected


@pytest.mark.parametrize(
    ("kind", "prop", "has_value", "expected"),
    [
        ("temp", "input", False, ("node_hwmon_temp_celsius", 1000)),
        ("temp", "fault", False, ("node_hwmon_temp_fault", 1)),
        ("fan", "input", False, ("node_hwmon_fan_rpm", 1)),
        ("power", "average_interval", False, ("node_hwmon_power_average_interval_seconds", 1000)),
        ("pwm", "input", True, ("node_hwmon_pwm_input", 1)),
        ("in", "beep", False, ("node_hwmon_in_beep_enabled", 1)),
        ("energy", "input", False, ("node_hwmon_energy_joule_total", 1_000_000)),
    ],
)
def test_a_measurement_has_node_exporters_name(
    kind: str,
    prop: str,
    has_value: bool,  # noqa: FBT001  # a parameter of the test
    expected: tuple[str, int],
) -> None:
    """Name and unit follow from type and property."""
    assert name_value(kind, prop, has_value=has_value) == expected


def test_a_name_is_normalised_for_a_label() -> None:
    """It is in lower case, of letters, digits, colons and underscores, without underscores at the ends."""
    assert clean("  Vir-tual Thing:1.") == "vir_tual_thing:1"


@pytest.mark.parametrize("text", ["", "x", "1.5", "0x10"])
def test_an_invalid_whole_number_is_reported_with_its_place(text: str) -> None:
    """The message begins with the place."""
    with pytest.raises(CollectorError, match=r"^here: "):
        whole(text, "here")


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-Infinity", "1e999"])
def test_an_invalid_number_is_reported_with_its_place(text: str) -> None:
    """Infinities and NaN are invalid: the kernel never writes them."""
    with pytest.raises(CollectorError, match=r"^here: "):
        decimal(text, "here")


END = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)
MESSAGE = struct.pack("=IHHII", 88, 20, 2, 1, 0) + bytes(72)


def test_netlink_messages_are_counted() -> None:
    """One message is one connection."""
    assert tcpstat.count_states(MESSAGE + END) == {"unknown": 1, "rx_queued_bytes": 0, "tx_queued_bytes": 0}


@pytest.mark.parametrize(
    "dump",
    [
        b"",
        MESSAGE,
        MESSAGE[:40],
        struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -1),
        struct.pack("=IHHII", 9000, 20, 0, 0, 0) + MESSAGE,
        struct.pack("=IHHII", 0, 20, 0, 0, 0) + MESSAGE,
    ],
    ids=["empty", "no end", "cut", "an error", "a length beyond the end", "no length"],
)
def test_a_damaged_dump_is_an_error(dump: bytes) -> None:
    """It is never counted in part."""
    with pytest.raises(CollectorError):
        tcpstat.count_states(dump)


def test_the_connections_of_this_kernel_are_counted() -> None:
    """A listening socket of the test is among them."""
    with socket.create_server(("127.0.0.1", 0)):
        states = tcpstat.count_states(tcp_dumps()[0])

    assert states["listen"] >= 1


def test_the_control_groups_of_a_process_are_parsed() -> None:
    """Version 1 has several lines, version 2 one without controllers."""
    assert parse_paths("3:cpu,cpuacct:/a\n0::/b\n", Losses()) == {"cpu": "/a", "cpuacct": "/a", "": "/b"}
    losses = Losses()
    assert parse_paths("nonsense\n0::/b\n", losses) == {"": "/b"}
    assert losses.count == 1


def test_an_include_replaces_the_default_exclude() -> None:
    """As in node_exporter, include and exclude together are an error; an invalid pattern is one, too."""
    pair = filter_options("device", "devices", default="^lo$")
    defaults = {option.name: option.default for option in pair}

    assert build_filter("x", "device", Options({}, defaults)).skips("lo")
    assert not build_filter("x", "device", Options({"device-include": "lo"}, defaults)).skips("lo")
    assert build_filter("x", "device", Options({"device-include": "lo"}, defaults)).skips("eth0")
    with pytest.raises(ConfigError, match="mutually exclusive"):
        build_filter("x", "device", Options({"device-include": "a", "device-exclude": "b"}, defaults))
    with pytest.raises(ConfigError, match=r"--collector.x.device-exclude: '\(' is not a regular expression"):
        build_filter("x", "device", Options({"device-exclude": "("}, defaults))


def test_a_collector_is_built_with_its_defaults() -> None:
    """Options that are not given have their default."""
    seen: list[Options] = []

    def make(_host: Host, options: Options) -> None:
        seen.append(options)

    Spec("x", make, "", filter_options("device", "devices", default="d")).build(Host(), {"device-include": "i"})  # type: ignore[arg-type]

    assert (seen[0].text("device-exclude"), seen[0].text("device-include")) == ("d", "i")
