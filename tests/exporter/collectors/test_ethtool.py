"""Replies of drivers: the names of their statistics, and what they do not support."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors.ethtool import DRIVER, SETTINGS, SPEC, statistic_name
from perfloop_exporter.collectors.ethtool_ioctl import ask_driver
from perfloop_exporter.collectors.families import Loss, Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize(
    ("statistic", "metric"),
    [
        ("rx_packets", "received_packets_total"),
        ("tx_dropped", "transmitted_dropped"),
        ("rx_queue_0_drops", "received_queue_0_drops"),
        ("port.tx", "port_transmitted"),
        ("RX/Overrun", "received_overrun"),
        ("_internal", "internal"),
        ("fixtx_prx", "fixtx_prx"),
        ("rx_rx_tx", "received_rx_transmitted"),
        ("Größe", "gr_e"),
    ],
)
def test_rx_and_tx_are_written_out_where_they_are_words(statistic: str, metric: str) -> None:
    """As in node_exporter; seven that most drivers have are counters by their names."""
    assert statistic_name(statistic) == f"node_ethtool_{metric}"


class Driver:
    """Answers as a driver with these statistics; `after` are those that it has when it is asked for the numbers."""

    def __init__(self, statistics: Mapping[str, int], after: Mapping[str, int] | None = None) -> None:
        self._statistics = statistics
        self._after = statistics if after is None else after

    def __call__(self, _device: str, request: bytes, _spare: int) -> bytes:
        """Return the reply to GET_DRIVER, GET_STRINGS and GET_STATISTICS; nothing else is supported."""
        (command,) = struct.unpack_from("=I", request)
        if command == 0x3:
            return DRIVER.pack(command, b"acme", b"1", b"", b"", b"", 0, len(self._statistics))
        if command == 0x1B:
            names = b"".join(name.encode().ljust(32, b"\0") for name in self._after)
            return (struct.pack("=III", command, 1, len(self._after)) + names).ljust(len(request), b"\0")[
                : len(request)
            ]
        if command == 0x1D:
            numbers = struct.pack(f"={len(self._after)}Q", *self._after.values())
            return (struct.pack("=II", command, len(self._after)) + numbers).ljust(len(request), b"\0")[: len(request)]
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def machine(sys: Path, driver: object) -> Host:
    """Return a machine with one network device."""
    (sys / "class" / "net" / "eth0").mkdir(parents=True)
    return Host(sys=str(sys), ethtool=driver)  # type: ignore[arg-type]


def export(host: Host, options: Mapping[str, str | bool] | None = None) -> list[str]:
    """Return the samples of driver statistics."""
    text = Renderer().render(SPEC.build(host, options).collect())
    return [line for line in text.splitlines() if line.startswith("node_ethtool_") and "info{" not in line]


def test_a_name_that_two_statistics_would_have_stands_for_neither(tmp_path: Path) -> None:
    """The page has each series once."""
    host = machine(tmp_path, Driver({"q0.drops": 1, "q0-drops": 2, "Q0_drops": 3, "resets": 4}))

    assert export(host) == ['node_ethtool_resets{device="eth0"} 4']


def test_the_pattern_is_matched_against_the_cleaned_name(tmp_path: Path) -> None:
    """`--collector.ethtool.metrics-include` is node_exporter's."""
    host = machine(tmp_path, Driver({"rx.bytes": 1, "tx.bytes": 2}))

    assert export(host, {"metrics-include": "^rx_bytes$"}) == ['node_ethtool_received_bytes_total{device="eth0"} 1']
    assert export(host, {"device-exclude": "^eth"}) == []


def test_statistics_that_are_added_while_they_are_read_are_left_out(tmp_path: Path) -> None:
    """The names and the numbers might not belong together; the driver itself is exported."""
    host = machine(tmp_path, Driver({"a": 1}, after={"b": 1, "a": 2}))

    *readings, loss = SPEC.build(host).collect()

    assert loss == Loss("ethtool: the statistics of eth0 changed while they were read", 1)
    assert 'driver="acme"' in Renderer().render(readings)


def test_a_device_whose_driver_supports_nothing_has_no_series(tmp_path: Path) -> None:
    """As the loopback device; a refusal for another reason is a loss."""

    def refuse(code: int) -> Host:
        def ask(_device: str, _request: bytes, _spare: int) -> bytes:
            raise OSError(code, "no")

        return Host(sys=str(tmp_path), ethtool=ask)

    (tmp_path / "class" / "net" / "lo").mkdir(parents=True)
    assert export(refuse(errno.EOPNOTSUPP)) == export(refuse(errno.ENODEV)) == []
    with pytest.raises(CollectorError, match="ethtool: lo: no"):
        SPEC.build(refuse(errno.EPERM)).collect()


def test_the_kernel_is_asked() -> None:
    """No device has this name, whatever machine the test runs on."""
    with pytest.raises(OSError, match=r"No such device|not permitted|not supported"):
        ask_driver("perfloop-none", SETTINGS.pack(1, 0, 0, 0), 0)
