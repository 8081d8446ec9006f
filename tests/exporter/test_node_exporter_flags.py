"""node_exporter's command lines: each starts, and its flags do what they do there."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_exporter import cli
from perfloop_exporter.collectors.catalogue import SPECS
from perfloop_exporter.collectors.node_flags import COLLECTORS, SWITCHES, VALUES

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_exporter.config import Settings
    from tests.exporter.conftest import StartExporter

# The arguments that kube-prometheus gives to node_exporter; its paths of the host are this machine's own.
KUBERNETES = (
    *("--path.sysfs=/sys", "--path.rootfs=/", "--path.udev.data=/run/udev/data"),
    *("--no-collector.wifi", "--no-collector.hwmon", "--no-collector.btrfs"),
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run/k3s/containerd/.+|var/lib/kubelet/pods/.+)($|/)",
    "--collector.netclass.ignored-devices=^(veth.*|[a-f0-9]{15})$",
    "--collector.netdev.device-exclude=^(veth.*|[a-f0-9]{15})$",
)
# Options of collectors that this exporter has, with a value each.
OPTIONS = (
    *("--collector.arp.device-include=e", "--no-collector.arp.netlink", "--no-collector.cpu.guest"),
    *("--collector.cpu.info", "--collector.cpu.info.flags-include=^sse", "--collector.cpu.info.bugs-include=spec"),
    *("--collector.diskstats.device-include=^sd", "--collector.filesystem.mount-points-include=^/$"),
    *("--collector.filesystem.fs-types-include=ext4", "--collector.filesystem.mount-timeout=5s"),
    *(
        "--collector.filesystem.stat-workers=4",
        "--collector.hwmon.chip-include=x",
        "--collector.hwmon.sensor-include=x",
    ),
    *("--collector.netclass.ignored-devices=x", "--collector.netclass.ignore-invalid-speed"),
    *("--collector.netclass.netlink", "--collector.netclass_rtnl.with-stats", "--collector.netdev.device-include=e"),
    *("--collector.netdev.address-info", "--collector.netdev.enable-detailed-metrics"),
    *("--no-collector.netdev.netlink", "--collector.netdev.label-ifalias", "--collector.netstat.fields=Tcp"),
    *("--collector.stat.softirq", "--collector.textfile.directory=/tmp", "--collector.vmstat.fields=pg"),
    *("--collector.disable-defaults", "--web.systemd-socket", "--web.max-requests=1", "--web.telemetry-path=/m"),
    *("--web.disable-exporter-metrics", "--runtime.gomaxprocs=2", "--log.level=debug", "--log.format=json"),
    *("--no-web.systemd-socket", "--no-web.disable-exporter-metrics", "--no-collector.disable-defaults"),
)


def settings(*flags: str) -> Settings:
    """Return the settings of a command line."""
    return cli.read_settings(cli.build_parser().parse_args(flags))


@pytest.mark.parametrize("flag", OPTIONS)
def test_an_option_of_node_exporter_is_known(flag: str):
    """No flag is an error."""
    settings(flag)


def test_every_collector_and_option_of_node_exporter_is_known():
    """Also those of collectors that this exporter does not have."""
    switches = [f"--{no}{name.removeprefix('--')}" for name in SWITCHES for no in ("", "no-")]
    collectors = [f"--{no}collector.{name}" for name in COLLECTORS for no in ("", "no-")]
    settings(*switches, *collectors, *(f"{name}=1" for name in VALUES))


def test_the_arguments_of_kube_prometheus_start_it(start_exporter: StartExporter):
    """What it does not have is one line of the log, and what it has is as asked for."""
    exporter = start_exporter(*KUBERNETES)
    page = exporter.get()

    assert 'collector="hwmon"' not in page
    assert 'node_scrape_collector_success{collector="filesystem"} 1\n' in page
    missing = [name for name in ("wifi", "btrfs") if name not in {spec.name for spec in SPECS}]
    about = [line for line in exporter.log().splitlines() if "have no effect here" in line]
    assert len(about) == bool(missing)
    assert all(f"--no-collector.{name}" in line for line in about for name in missing)


def test_a_collector_that_is_asked_for_and_missing_is_a_warning(start_exporter: StartExporter):
    """The others work."""
    exporter = start_exporter("--collector.wifi", "--collector.perf.cpus=0-3")
    assert 'level=warn msg="flags of node_exporter that have no effect here"' in exporter.log()
    assert 'node_scrape_collector_success{collector="cpu"} 1\n' in exporter.get()


def test_a_former_name_has_its_effect():
    """And both names together are an error, as in node_exporter."""
    former = settings("--collector.netdev.device-blacklist=^lo$", "--collector.diskstats.ignored-devices=^ram")
    assert former.collectors.options["netdev"] == {"device-exclude": "^lo$"}
    assert former.collectors.options["diskstats"] == {"device-exclude": "^ram"}
    with pytest.raises(ConfigError, match="mutually exclusive"):
        settings("--collector.netdev.device-blacklist=^lo$", "--collector.netdev.device-exclude=x")


def test_an_unknown_collector_is_an_error():
    """A name that node_exporter does not have either is a slip."""
    with pytest.raises(ConfigError, match=r"unknown flag: '--no-collector.wify'; did you mean --no-collector.wifi"):
        settings("--no-collector.wify")


PASS_SOCKETS = """
import fcntl, os, sys
copies = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 50) for number in sys.argv[1].split(",")]
for position, number in enumerate(copies, 3):
    os.dup2(number, position)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(copies))
os.execv(sys.executable, [sys.executable, "-m", "perfloop_exporter", "--web.systemd-socket", *sys.argv[2:]])
"""


def start_with(descriptors: list[int], log: Path) -> subprocess.Popen[str]:
    """Start an exporter as systemd does: with these descriptors as 3 and following."""
    flags = ["--collector.disable-defaults", "--collector.loadavg"]
    command = [sys.executable, "-c", PASS_SOCKETS, ",".join(map(str, descriptors)), *flags]
    with log.open("w") as sink:
        return subprocess.Popen(command, stderr=sink, text=True, pass_fds=descriptors)


def test_it_listens_on_the_sockets_that_systemd_passes(tmp_path: Path):
    """On every one of them, and on no port of its own."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    process = start_with([listener.fileno() for listener in listeners], tmp_path / "log")
    try:
        for listener in listeners:
            port = listener.getsockname()[1]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                assert b"\nnode_load1 " in answer.read()
        assert (tmp_path / "log").read_text().count("msg=listening") == len(listeners)
    finally:
        process.terminate()
        assert process.wait(60) == ExitCode.OK
        for listener in listeners:
            listener.close()


def test_without_a_socket_of_systemd_it_says_so(tmp_path: Path):
    """Also where what was passed is no socket that listens."""
    plain = subprocess.run(
        [sys.executable, "-m", "perfloop_exporter", "--web.systemd-socket"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert plain.returncode == ExitCode.USAGE
    assert "--web.systemd-socket: systemd passed no socket to this process" in plain.stderr
    with socket.socket() as deaf:
        process = start_with([deaf.fileno()], tmp_path / "log")
        assert process.wait(60) == ExitCode.USAGE
    assert "descriptor 3 is not a stream socket that listens" in (tmp_path / "log").read_text()


def names_of(page: str) -> set[str]:
    """Return the names of the families on a page."""
    return {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}


def test_netlink_and_files_have_the_same_numbers(start_exporter: StartExporter):
    """The switches choose where the data of network devices come from; names and devices stay.

    Only the carrier of a device that is down cannot be read from its file.
    """
    common = ("--collector.disable-defaults", "--collector.netdev", "--collector.arp", "--collector.netclass")
    files = start_exporter(*common)
    asked = start_exporter(
        *common, "--collector.netdev.netlink", "--collector.arp.netlink", "--collector.netclass.netlink"
    )
    end = time.monotonic() + 30
    while True:  # a neighbour may come or go between the two
        first, second = files.get(), asked.get()
        lines = [{line.rpartition(" ")[0] for line in page.splitlines() if is_common(line)} for page in (first, second)]
        if lines[0] <= lines[1] or time.monotonic() > end:
            break
    assert lines[0] <= lines[1]
    assert {line.partition("{")[0] for line in lines[1] - lines[0]} <= {"node_network_carrier", "node_network_dormant"}
    assert "node_network_receive_bytes_total" in names_of(second)
    assert names_of(first) - names_of(second) <= {"node_network_speed_bytes"}


def is_common(line: str) -> bool:
    """Return whether a line is a sample that both sources have with the same labels."""
    return line.startswith(("node_network_", "node_arp")) and "_info{" not in line and "speed_bytes" not in line


def test_detailed_statistics_addresses_and_aliases(start_exporter: StartExporter):
    """Each of the switches of netdev adds what it names; statistics in netclass yield to netdev's."""
    exporter = start_exporter(
        *("--collector.netdev.enable-detailed-metrics", "--collector.netdev.address-info"),
        *("--collector.netdev.label-ifalias", "--collector.netclass.netlink", "--collector.netclass_rtnl.with-stats"),
        *("--collector.cpu.info.flags-include=.", "--collector.disable-defaults", "--collector.netdev"),
        *("--collector.netclass", "--collector.cpu"),
    )
    page = exporter.get()

    assert 'node_network_address_info{device="lo",address="127.0.0.1",netmask="8",scope="link-local"} 1\n' in page
    assert 'node_network_receive_crc_errors_total{device="lo",ifalias=""} 0\n' in page
    assert "node_network_receive_errs_total" not in page
    assert page.count("# TYPE node_network_receive_bytes_total ") == 1
    assert "node_cpu_info{" in page
    heads = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")]
    assert len(heads) == len(set(heads))
