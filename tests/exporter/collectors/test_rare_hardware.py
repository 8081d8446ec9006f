"""Collectors of hardware that few machines have: what their golden files do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors import dmi, dmmultipath, kernel_hung, powersupplyclass, rapl, selinux, tapestats
from perfloop_exporter.collectors.families import Loss, Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from perfloop_exporter.collectors.spec import Spec


def write(root: Path, files: Mapping[str, str]) -> Host:
    """Return a machine with these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Host(proc=f"{root}/proc", sys=f"{root}/sys", root=str(root))


def export(spec: Spec, host: Host, options: Mapping[str, str | bool] | None = None) -> tuple[list[str], int]:
    """Return the samples without `node_`, and how many parts could not be read."""
    items = list(spec.build(host, options).collect())
    lines = [line.removeprefix("node_") for line in Renderer().render(items).splitlines() if not line.startswith("#")]
    return lines, sum(item.parts for item in items if isinstance(item, Loss))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["package-0", "core", "package-1", "core"], [("package", 0), ("core", 0), ("package", 1), ("core", 1)]),
        (["package-0-die-1", "psys"], [("package-0-die-1", 0), ("psys", 0)]),
        (["dram-x", "dram-x"], [("dram-x", 0), ("dram-x", 1)]),
    ],
)
def test_zones_of_one_name_are_numbered(names: list[str], expected: list[tuple[str, int]]) -> None:
    """A number at the end of the name is the zone's own."""
    known: dict[str, int] = {}
    assert [rapl.split_name(name, known) for name in names] == expected


def test_a_zone_whose_counter_may_not_be_read_costs_itself(tmp_path: Path) -> None:
    """On a machine where none may be read there is no data, since only root may."""
    host = write(tmp_path, {"sys/class/powercap/zone:0/name": "core", "sys/class/powercap/zone:1/name": "dram"})
    with pytest.raises(NoDataError, match="no energy counter that can be read"):
        export(rapl.SPEC, host)

    write(tmp_path, {"sys/class/powercap/zone:1/energy_uj": "1500000"})

    path = f"{tmp_path}/sys/class/powercap/zone:1"
    assert export(rapl.SPEC, host) == ([f'rapl_dram_joules_total{{index="0",path="{path}"}} 1.5'], 0)


def test_zones_whose_names_become_one_metric_have_one_head(tmp_path: Path) -> None:
    """The page has each name's HELP and TYPE once."""
    base = "sys/class/powercap"
    host = write(tmp_path, {f"{base}/zone:{index}/name": name for index, name in enumerate(("gpu.a", "gpu-a"))})
    write(tmp_path, {f"{base}/zone:0/energy_uj": "1", f"{base}/zone:1/energy_uj": "2"})

    text = Renderer().render(rapl.SPEC.build(host).collect())

    assert text.count("# TYPE node_rapl_gpu_a_joules_total") == text.count("# TYPE") == 1
    assert text.count("node_rapl_gpu_a_joules_total{") == 2


def test_what_a_damaged_file_of_a_battery_holds_is_left_out(tmp_path: Path) -> None:
    """The rest of the battery, and the other supplies, are exported."""
    base = "sys/class/power_supply"
    host = write(tmp_path, {f"{base}/BAT0/capacity": "8?", f"{base}/BAT0/temp": "-31", f"{base}/AC/online": "1"})

    lines, losses = export(powersupplyclass.SPEC, host, {"ignored-supplies": "^USB"})

    assert losses == 1
    assert [line for line in lines if "info" not in line] == [
        'power_supply_online{power_supply="AC"} 1.0',
        'power_supply_temp_celsius{power_supply="BAT0"} -3.1',
    ]


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ("# SELINUX=enforcing\nSELINUX=permissive\n", 0),
        (' SELINUX = "Enforcing" \nSELINUXTYPE=targeted\n', 1),
        ("SELINUX=disabled\n", -1),
        ("SELINUX=maybe\n", -1),
        ("", -1),
    ],
)
def test_the_mode_after_the_next_boot(config: str, mode: int) -> None:
    """Comments do not count, and what is no mode is off."""
    assert selinux.parse_config(config) == mode


def test_selinux_is_off_until_a_policy_has_been_loaded(tmp_path: Path) -> None:
    """Where its directory is empty, or every process has the kernel's label."""
    off = (["selinux_enabled 0"], 0)
    host = write(tmp_path, {"proc/self/attr/current": "kernel\0"})
    assert export(selinux.SPEC, host) == off
    write(tmp_path, {"sys/fs/selinux/enforce": "1"})
    assert export(selinux.SPEC, host) == off

    write(tmp_path, {"proc/self/attr/current": "system_u:system_r:init_t:s0\0"})

    assert export(selinux.SPEC, host) == (
        ["selinux_enabled 1", "selinux_config_mode -1", "selinux_current_mode 1"],
        0,
    )


def test_a_path_whose_state_cannot_be_read_costs_both_counts(tmp_path: Path) -> None:
    """One failed path too many, or too few, would be an alert that is false, or missing."""
    base = "sys/block/dm-3"
    files = {
        "dm/uuid": "mpath-1",
        "dm/name": "data",
        "dm/suspended": "0",
        "size": "8",
        "slaves/sdb": "",
        "slaves/sdc": "",
    }
    host = write(tmp_path, {f"{base}/{name}": text for name, text in files.items()})
    write(
        tmp_path,
        {"sys/block/sdb/device/state": "running\n", "sys/block/sda/size": "1", "sys/block/dm-0/dm/uuid": "LVM-1"},
    )

    labels = '{device="data",sysfs_name="dm-3"}'
    lines, losses = export(dmmultipath.SPEC, host)
    assert losses == 1
    assert [line for line in lines if "info" not in line] == [
        f"dmmultipath_device_active{labels} 1",
        f"dmmultipath_device_paths{labels} 2",
        f"dmmultipath_device_size_bytes{labels} 4096",
        'dmmultipath_path_state{device="data",path="sdb",state="running"} 1',
    ]

    write(tmp_path, {"sys/block/sdc/device/state": "offline\n"})
    lines, losses = export(dmmultipath.SPEC, host)
    assert losses == 0
    assert f"dmmultipath_device_paths_active{labels} 1" in lines
    assert f"dmmultipath_device_paths_failed{labels} 1" in lines


def test_drives_that_are_ignored_have_no_series(tmp_path: Path) -> None:
    """`--collector.tapestats.ignored-devices`; a drive without statistics has none either."""
    base = "sys/class/scsi_tape"
    host = write(
        tmp_path, {f"{base}/st0/stats/read_cnt": "1", f"{base}/st1/stats/read_cnt": "2", f"{base}/st2/dev": ""}
    )

    assert export(tapestats.SPEC, host, {"ignored-devices": "^st0$"}) == (
        ['tape_reads_completed_total{device="st1"} 2'],
        0,
    )


def test_the_firmware_is_read_once(tmp_path: Path) -> None:
    """It changes only when the machine is booted; a label is there for every file that can be read."""
    host = write(tmp_path, {"sys/class/dmi/id/sys_vendor": "Acme\n", "sys/class/dmi/id/bios_date": "04/01/2026\n"})
    collector = dmi.SPEC.build(host)
    first = Renderer().render(collector.collect())
    assert first.splitlines()[-1] == 'node_dmi_info{bios_date="04/01/2026",system_vendor="Acme"} 1'

    write(tmp_path, {"sys/class/dmi/id/sys_vendor": "Other\n"})

    assert Renderer().render(collector.collect()) == first


def test_a_count_of_hung_tasks_is_no_less_than_0(tmp_path: Path) -> None:
    """What is no count fails."""
    host = write(tmp_path, {"proc/sys/kernel/hung_task_detect_count": "-1\n"})

    with pytest.raises(CollectorError, match="-1 is less than 0"):
        export(kernel_hung.SPEC, host)
