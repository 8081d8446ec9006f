"""A file, line or value that is missing or damaged costs the samples that it holds, and no others."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
from typing import TYPE_CHECKING, NamedTuple

import pytest

from perfloop_exporter.collectors import cgroup, conntrack, filesystem, gpu, hwmon, tcpstat
from perfloop_exporter.collectors.families import Aside, Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.errors import CollectorError, NoDataError
from perfloop_exporter.scrape import CollectorSlot, Scraper
from tests.exporter.collectors.conftest import FIXTURES, FakeNvml, Machine

if TYPE_CHECKING:
    from pathlib import Path

GONE = None
NOTHING = "$never"


class Damage(NamedTuple):
    """What is done to a machine's file, and a pattern of the samples that it costs."""

    file: str
    old: str  # the text to replace; all of it where it is empty
    new: str | None  # None: the file is removed
    lost: str


# Each with the name of the machine.
DAMAGES = [
    ("arp", "proc/net/arp", "10.1.0.9         0x1", "10.1.0.9", "docker0"),
    ("cgroup", "sys/fs/cgroup/system.slice/shop.service/memory.max", "", "x", "spec_memory_limit"),
    ("cgroup", "sys/fs/cgroup/system.slice/shop.service/cpu.max", "", "x y", "spec_cpu"),
    ("cgroup", "sys/fs/cgroup/system.slice/shop.service/cpu.stat", "usage_usec ", "usage_usec x", "cpu_usage"),
    ("cgroup", "sys/fs/cgroup/system.slice/shop.service/memory.stat", "anon ", "anon x", "memory_rss"),
    ("cgroup", "sys/fs/cgroup/system.slice/shop.service/io.pressure", "", "x", "pressure_io"),
    ("cgroup", "proc/self/cgroup", "0::", "nonsense\n0::", NOTHING),
    ("cgroup-v1", "sys/fs/cgroup/memory/memory.failcnt", "", "x", "failcnt"),
    ("cgroup-v1", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "", "x", "spec_cpu"),
    ("cgroup-v1", "sys/fs/cgroup/cpuacct/cpuacct.stat", "user ", "user x", "cpu_user"),
    ("conntrack", "proc/net/stat/nf_conntrack", "", GONE, "_stat_"),
    ("conntrack", "proc/net/stat/nf_conntrack", "", "a b\n1\n", "_stat_"),
    ("conntrack", "proc/sys/net/netfilter/nf_conntrack_count", "", "x", "entries "),
    ("conntrack", "proc/sys/net/netfilter/nf_conntrack_max", "", GONE, "entries_limit"),
    ("cpu", "proc/stat", "cpu1 ", "cpu1 x", 'cpu="1"|core="1"'),
    ("cpu", "proc/cpuinfo", "", GONE, "cpu_info"),
    ("cpu", "proc/stat", "", GONE, "seconds_total|throttles"),
    ("cpu", "sys/devices/system/cpu/isolated", "", "x", "isolated"),
    ("cpu", "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "", "x", "core_throttles"),
    ("cpufreq", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", GONE, 'governor.*cpu="0"'),
    ("cpufreq", "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "", "x", 'scaling_frequency_hertz.*cpu="0"'),
    ("diskstats", "proc/diskstats", "0 sda 1200", "0 sda x", '"sda"'),
    ("diskstats", "proc/diskstats", "130000 120 3 99000 450 310 77", "", "nvme0n1"),
    ("diskstats", "udev/b8:0", "RPM=7200", "RPM=unknown", "rotation"),
    ("entropy", "proc/sys/kernel/random/poolsize", "", GONE, "pool_size"),
    ("filefd", "proc/sys/fs/file-nr", "\t", "x\t", "allocated"),
    ("filesystem", "proc/1/mountinfo", "25 22 0:40", "25 22 0.40", "/mnt/nas"),
    ("loadavg", "proc/loadavg", "0.42", "x", "load1 "),
    ("meminfo", "proc/meminfo", "MemFree:          412004 kB", "MemFree: 412004 MB", "MemFree"),
    ("meminfo", "proc/meminfo", "Buffers:", "Buf fers:", "Buffers"),
    ("netclass", "sys/class/net/eth0/mtu", "", "x", "mtu_bytes.*eth0"),
    ("netclass", "sys/class/net/eth0/flags", "", "x", "(flags|network_info).*eth0"),
    ("netdev", "proc/net/dev", "eth0: 99887766", "eth0: x", "eth0"),
    ("netdev", "sys/class/net/lo/statistics/rx_nohandler", "", "x", 'nohandler.*"lo"'),
    ("netstat", "proc/net/snmp", "Icmp: 10", "Icmp: x", "Icmp_InMsgs"),
    ("netstat", "proc/net/snmp", "Icmp: 10 1 12\n", "", "Icmp_"),
    ("netstat", "proc/net/snmp", "Udp: 700 1 2", "Udp: 700 1", "Udp_"),
    ("netstat", "proc/net/netstat", "", GONE, "Ext_"),
    ("netstat", "proc/net/snmp6", "Udp6InDatagrams ", "Udp6InDatagrams x", "Udp6_InDatagrams"),
    ("os", "root/etc/os-release", "2028-06-30", "never", "support_end"),
    ("os", "root/etc/os-release", 'PRETTY_NAME="', "PRETTY_NAME='\"", "os_info"),
    ("pressure", "proc/pressure/irq", "", "x", "irq"),
    ("pressure", "proc/pressure/io", "full ", "fully ", "io_stalled"),
    ("processes", "proc/sys/kernel/pid_max", "", GONE, "max_processes"),
    ("processes", "proc/33/stat", "", "33 (cut", "processes_(pids|state|threads)"),
    ("schedstat", "proc/schedstat", "cpu0 498494191", "cpu0", 'cpu="0"'),
    ("sockstat", "proc/net/sockstat", "RAW: inuse", "RAW:", "RAW_"),
    ("sockstat", "proc/net/sockstat6", "", GONE, "6_"),
    ("softnet", "proc/net/softnet_stat", "000040ee", "xyz", 'cpu="3"'),
    ("stat", "proc/stat", "btime ", "btime x", "boot_time"),
    ("stat", "proc/stat", "procs_blocked", "procs", "procs_blocked"),
    ("swap", "proc/swaps", "512000", "x", "swap."),
    ("thermal_zone", "sys/class/thermal/thermal_zone0/temp", "", "x", 'thermal_zone_temp.*zone="0"'),
    ("thermal_zone", "sys/class/thermal/cooling_device0/cur_state", "", "x", "cur_state"),
    ("time", "sys/devices/system/clocksource/clocksource0/current_clocksource", "", GONE, "current_info"),
    ("udp_queues", "proc/net/udp", "", GONE, "udp_queues"),
    ("vmstat", "proc/vmstat", "pswpin 1476", "pswpin x", "pswpin"),
    ("vmstat", "proc/vmstat", "nr_free_pages", "!", NOTHING),
]


def samples(text: str) -> set[str]:
    """Return the lines of a page that are samples."""
    return {line for line in text.split("\n") if line and not line.startswith("#")}


@pytest.mark.parametrize(
    ("machine", "damage"), [(name, Damage(*damage)) for name, *damage in DAMAGES], indirect=["machine"], ids=str
)
def test_what_is_damaged_costs_what_it_holds(machine: Machine, damage: Damage) -> None:
    """All samples that the pattern does not name are there as before; damage is counted, absence is none."""
    before = samples(Renderer().render(machine.collector().collect()))
    path = machine.directory / damage.file
    text = path.read_text()
    assert damage.old in text
    if damage.new is None:
        path.unlink()
    else:
        path.write_text(text.replace(damage.old, damage.new) if damage.old else damage.new)
    aside = Aside()
    try:
        after = samples(Renderer().render(machine.collector().collect(), aside))
    except NoDataError:  # the only file there is
        after = set()

    missing = before - after
    assert {line for line in missing if not re.search(damage.lost, line)} == set()
    assert bool(missing) == (damage.lost != NOTHING)
    assert bool(aside.losses) == (damage.new is not None)


def test_one_mount_of_many_that_is_damaged(tmp_path: Path) -> None:
    """A form feed, U+2028 and U+0085 in a mount point end no line, and a line that is no mount costs itself."""
    (tmp_path / "1").mkdir()
    points = ("/", "/mnt/a\fb", "/mnt/c\u2028d", "/mnt/e\x85f", "/mnt/g\x1ch", "/mnt/i\u2029j", "/mnt/k\vl")
    lines = [f"{number} 1 8:{number} / {point} rw - ext4 /dev/sd{number} rw" for number, point in enumerate(points)]
    (tmp_path / "1/mountinfo").write_text("\n".join([*lines[:3], "not a mount", *lines[3:], ""]), newline="")
    host = Host(proc=str(tmp_path), statvfs=lambda _path: os.statvfs("/"))
    aside = Aside()
    text = Renderer().render(filesystem.SPEC.build(host).collect(), aside)

    assert [point for point in points if f'mountpoint="{point}"' not in text] == []
    assert [loss.parts for loss in aside.losses] == [1]


def test_a_first_process_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """With hidepid the mounts are the exporter's own; one whose path is none has an error of its own."""
    (tmp_path / "1/mountinfo").mkdir(parents=True)
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /a\\000b rw - ext4 /dev/sdb1 rw\n"
    )
    text = Renderer().render(filesystem.SPEC.build(Host(proc=str(tmp_path))).collect())
    assert 'node_filesystem_size_bytes{device="/dev/sda1",mountpoint="/",fstype="ext4",device_error=""}' in text
    assert 'device="/dev/sdb1",mountpoint="/a\ufffdb",fstype="ext4",device_error="embedded null byte"} 1\n' in text


def test_a_limit_that_is_set_above_the_group_holds_for_it(tmp_path: Path) -> None:
    """The smallest limit of the group and of those above it is exported, and throttling where the quota is set."""
    files = {
        "proc/self/cgroup": "0::/pods/pod/app\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n",
        "sys/fs/cgroup/pods/memory.max": "4000\n",
        "sys/fs/cgroup/pods/pod/memory.max": "3000\n",
        "sys/fs/cgroup/pods/pod/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/pods/pod/cpu.stat": "usage_usec 9\nnr_periods 40\nnr_throttled 7\nthrottled_usec 2000000\n",
        "sys/fs/cgroup/pods/pod/pids.max": "max\n",
        "sys/fs/cgroup/pods/pod/app/cgroup.procs": "1\n",
        "sys/fs/cgroup/pods/pod/app/memory.max": "max\n",
        "sys/fs/cgroup/pods/pod/app/memory.current": "1000\n",
        "sys/fs/cgroup/pods/pod/app/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/pods/pod/app/cpu.stat": "usage_usec 5000000\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
        "sys/fs/cgroup/pods/pod/app/pids.max": "100\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    host = Host(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))
    found = samples(Renderer().render(cgroup.SPEC.build(host).collect()))

    name = 'id="/pods/pod/app"'
    assert found == {
        f"container_spec_memory_limit_bytes{{{name}}} 3000",
        f"container_memory_usage_bytes{{{name}}} 1000",
        f"container_memory_working_set_bytes{{{name}}} 1000",
        f"container_spec_cpu_quota{{{name}}} 50000",
        f"container_spec_cpu_period{{{name}}} 100000",
        f'container_cpu_usage_seconds_total{{{name},cpu="total"}} 5.0',
        f"container_cpu_cfs_periods_total{{{name}}} 40",
        f"container_cpu_cfs_throttled_periods_total{{{name}}} 7",
        f"container_cpu_cfs_throttled_seconds_total{{{name}}} 2.0",
        f"container_threads_max{{{name}}} 100",
    }


def test_a_limit_above_the_group_holds_in_version_1(tmp_path: Path) -> None:
    """The limits of memory, CPU and tasks are looked for in each controller's own hierarchy."""
    files = {
        "proc/self/cgroup": "3:cpu,cpuacct:/pod/app\n4:memory:/pod/app\n5:pids:/pod/app\n",
        "memory/pod/memory.limit_in_bytes": "3000\n",
        "memory/pod/app/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/pod/app/cgroup.procs": "1\n",
        "cpu/pod/cpu.cfs_quota_us": "50000\n",
        "cpu/pod/cpu.cfs_period_us": "100000\n",
        "cpu/pod/app/cpu.cfs_quota_us": "-1\n",
        "cpu/pod/app/cpu.cfs_period_us": "100000\n",
        "cpu/pod/app/cgroup.procs": "1\n",
        "pids/pod/pids.max": "50\n",
        "pids/pod/app/pids.max": "max\n",
        "pids/pod/app/cgroup.procs": "1\n",
    }
    for name, text in files.items():
        path = tmp_path / (name if name.startswith("proc") else f"sys/fs/cgroup/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host = Host(proc=str(tmp_path / "proc"), sys=str(tmp_path / "sys"))
    found = samples(Renderer().render(cgroup.SPEC.build(host).collect()))

    assert found == {
        'container_spec_memory_limit_bytes{id="/pod/app"} 3000',
        'container_spec_cpu_quota{id="/pod/app"} 50000',
        'container_spec_cpu_period{id="/pod/app"} 100000',
        'container_threads_max{id="/pod/app"} 50',
    }


def test_chips_of_one_device_are_named_by_their_drivers(tmp_path: Path) -> None:
    """The number of the entry, which changes between boots, is the last resort."""
    names = {"hwmon8": "band_a", "hwmon9": "band_b", "hwmon10": "same", "hwmon11": "same"}
    (tmp_path / "class/hwmon").mkdir(parents=True)
    for entry, name in names.items():
        chip = tmp_path / "devices/soc/phy0/hwmon" / entry
        chip.mkdir(parents=True)
        (chip / "name").write_text(f"{name}\n")
        (chip / "temp1_input").write_text("8000\n")
        (chip / "device").symlink_to("../..")
        (tmp_path / "class/hwmon" / entry).symlink_to(f"../../devices/soc/phy0/hwmon/{entry}")
    found = samples(Renderer().render(hwmon.SPEC.build(Host(sys=str(tmp_path))).collect()))

    chips = {line.partition('chip="')[2].partition('"')[0] for line in found}
    assert chips == {"soc_phy0_band_a", "soc_phy0_band_b", "soc_phy0_hwmon10", "soc_phy0_hwmon11"}
    chosen = hwmon.SPEC.build(Host(sys=str(tmp_path)), {"chip-include": "_band_a$"})
    assert len(samples(Renderer().render(chosen.collect()))) == 2


def test_a_gpu_that_fails_costs_its_own_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fell off the bus, and one measurement that fails otherwise than by not being supported."""
    answers = json.loads((FIXTURES / "gpu" / "nvml.json").read_text())
    nvml = FakeNvml(answers)
    handle = nvml.nvmlDeviceGetHandleByIndex

    def lose_first(index: int) -> object:
        if index == 0:
            raise FakeNvml.NVMLError("GPU is lost")
        return handle(index)

    def fail(*_: object) -> float:
        raise FakeNvml.NVMLError("unknown error")

    nvml.nvmlDeviceGetHandleByIndex = lose_first
    nvml.nvmlDeviceGetTemperature = fail
    monkeypatch.setattr(gpu, "load_nvml", lambda: nvml)
    aside = Aside()
    text = Renderer().render(gpu.SPEC.build(Host(), {"device": "/dev/null"}).collect(), aside)

    assert 'gpu="0"' not in text
    assert 'perfloop_gpu_memory_used_bytes{gpu="1"}' in text
    assert "temperature" not in text
    assert aside.losses[0].parts == len(answers["gpus"])


def test_a_kernel_without_ipv6_has_tcp_states(tmp_path: Path) -> None:
    """The kernel's refusal of IPv6 is no loss; a dump that is cut short is."""
    four = (FIXTURES / "tcpstat" / "tcp4.bin").read_bytes()
    refusal = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -errno.ENOENT) + bytes(16)
    for second, parts in ((refusal, []), (four[:40], [1])):
        aside = Aside()
        host = Host(tcp_dumps=lambda second=second: [four, second])
        text = Renderer().render(tcpstat.SPEC.build(host).collect(), aside)
        assert 'node_tcp_connection_states{state="' in text
        assert [loss.parts for loss in aside.losses] == parts


def test_a_loss_is_counted_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The collector succeeds; what it left out is a metric and one line of the log."""
    shutil.copytree(FIXTURES / "conntrack" / "proc", tmp_path / "proc")
    limit = tmp_path / "proc/sys/net/netfilter/nf_conntrack_max"
    host = Host(proc=str(tmp_path / "proc"))
    scraper = Scraper([CollectorSlot("conntrack", conntrack.SPEC.build(host), 60.0)])
    caplog.set_level("INFO", "perfloop_exporter")
    limit.write_text("many\n")
    for _ in range(2):
        text = scraper.scrape()
        assert 'node_scrape_collector_success{collector="conntrack"} 1\n' in text
        assert 'node_scrape_collector_unreadable{collector="conntrack"} 1\n' in text
    limit.write_text("1\n")
    assert 'node_scrape_collector_unreadable{collector="conntrack"} 0\n' in scraper.scrape()

    assert [record.message for record in caplog.records] == [
        "collector leaves out what it cannot read",
        "collector leaves nothing out any more",
    ]


def test_a_run_that_has_nothing_left_fails() -> None:
    """Without a sample the first problem is the collector's error; where nothing is there, it has no data."""
    damaged, absent = Losses(), Losses()
    with absent:
        raise NoDataError("no such file")
    with damaged:
        raise NoDataError("no such file")
    with damaged:
        raise CollectorError("first")
    with damaged:
        raise CollectorError("second")

    with pytest.raises(CollectorError, match="first"):
        damaged.settle([])
    with pytest.raises(NoDataError, match="no such file"):
        absent.settle([])
