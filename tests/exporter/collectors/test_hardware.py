"""Collectors of disks, memory, networks and filesystems: a damaged part costs itself, and what machines differ in."""

from __future__ import annotations

import struct
from errno import ENODEV, EPERM
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors import bcache, btrfs, infiniband, ipvs, mdadm, nfs, nfsd, nvme, xfs, zfs
from perfloop_exporter.collectors.btrfs_devices import DEV_INFO, DEV_STATS, FS_INFO, Device, read_devices
from perfloop_exporter.collectors.families import Loss, Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.human_sizes import parse_size
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.mdadm import parse_array, split_arrays
from perfloop_exporter.collectors.spec import Options
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_exporter.collectors.families import Collector
    from perfloop_exporter.collectors.spec import Spec

UUID = "0abb23a9-579b-43e6-ad30-227ef47fcb9d"


def write(directory: Path, files: dict[str, str]) -> Host:
    """Write files, and return the machine that has them."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Host(proc=str(directory / "proc"), sys=str(directory / "sys"), root=str(directory))


def read(spec: Spec, host: Host) -> tuple[str, int]:
    """Return what a collector exports, and how many parts it left out."""
    return rendered(spec.build(host))


def rendered(collector: Collector) -> tuple[str, int]:
    """Return what a collector exports, and how many parts it left out."""
    items = list(collector.collect())
    return Renderer().render(items), sum(item.parts for item in items if isinstance(item, Loss))


def test_an_array_that_cannot_be_parsed_costs_itself(tmp_path: Path) -> None:
    """The others are exported, and what sysfs has of it."""
    mdstat = """Personalities : [raid1]
md0 : active raid1 sdb1[1] sda1[0]
      1046528 blocks super 1.2 [2/1] [U_]

md1 : active raid1 sdd1[1] sdc1[0]
      many blocks

unused devices: <none>
"""
    text, lost = read(mdadm.SPEC, write(tmp_path, {"proc/mdstat": mdstat, "sys/block/md1/md/level": "raid1"}))

    assert 'node_md_disks{device="md0",state="active"} 1' in text
    assert 'node_md_disks_required{device="md0"} 2' in text
    assert 'device="md1",state' not in text
    assert 'node_md_degraded{device="md1"} 0' in text
    assert lost == 1


@pytest.mark.parametrize(
    ("action", "state", "synced"),
    [
        ("[>....]  recovery =  5.0% (50/1000) finish=1.0min speed=10K/sec", "recovering", 50),
        ("[>....]  resync =  5.0% (60/1000) finish=1.0min speed=10K/sec", "resync", 60),
        ("[>....]  check =  5.0% (70/1000) finish=1.0min speed=10K/sec", "check", 70),
        ("resync=DELAYED", "resync", 0),
        ("resync=PENDING", "resync", 0),
        ("resync=REMOTE", "resync", 0),
        ("bitmap: 1/1 pages [4KB], 65536KB chunk", "active", 1000),
    ],
)
@pytest.mark.parametrize("bitmap_first", [True, False])
def test_an_action_is_found_on_any_line(action: str, state: str, synced: int, *, bitmap_first: bool) -> None:
    """The line of the bitmap may come before it or after it."""
    bitmap = "      bitmap: 0/1 pages [0KB], 65536KB chunk\n"
    lines = [bitmap, f"      {action}\n"] if bitmap_first else [f"      {action}\n", bitmap]
    text = f"md9 : active raid1 sdb[1] sda[0]\n      1000 blocks [2/2] [UU]\n{''.join(lines)}\n"
    array = parse_array(split_arrays(text)[0])

    assert (array.state, array.synced, array.active) == (state, synced, 2)


def test_a_damaged_line_of_nfs_costs_its_numbers(tmp_path: Path) -> None:
    """The other lines are exported; what the kernel does not write is 0."""
    lines = "net 1 2 3 4\nrpc 5 x 7\nproc3 22 " + " ".join(str(number) for number in range(22)) + "\nproc4 9 1 2\n"
    text, lost = read(nfs.SPEC, write(tmp_path, {"proc/net/rpc/nfs": lines, "proc/1/net/rpc/nfs": lines}))

    assert 'node_nfs_packets_total{protocol="tcp"} 3' in text
    assert "node_nfs_rpcs_total" not in text
    assert 'node_nfs_requests_total{proto="3",method="Commit"} 21' in text
    assert 'node_nfs_requests_total{proto="2",method="Read"} 0' in text
    assert 'proto="4"' not in text
    assert lost == 2


def test_threads_of_an_old_server_are_read(tmp_path: Path) -> None:
    """The line goes on with a histogram that has fractions."""
    text, lost = read(nfsd.SPEC, write(tmp_path, {"proc/1/net/rpc/nfsd": "th 8 0 2.5 0.1\n"}))

    assert "node_nfsd_server_threads 8" in text
    assert lost == 0


def test_sizes_of_nvme_do_not_depend_on_the_block(tmp_path: Path) -> None:
    """The kernel counts every disk in sectors of 512 bytes; only what is used is counted in the disk's blocks."""
    base = "sys/class/nvme/nvme3"
    files = {
        "model": "A disk",
        "nvme3n1/size": "2048",
        "nvme3n1/nuse": "100",
        "nvme3n1/queue/logical_block_size": "4096",
    }
    text, lost = read(nvme.SPEC, write(tmp_path, {f"{base}/{name}": text for name, text in files.items()}))

    assert 'node_nvme_namespace_size_bytes{device="nvme3",nsid="1"} 1048576' in text
    assert 'node_nvme_namespace_used_bytes{device="nvme3",nsid="1"} 409600' in text
    assert 'node_nvme_info{device="nvme3",firmware_revision="",model="A disk",serial="",state="",cntlid=""} 1' in text
    assert lost == 0


def test_a_damaged_line_of_xfs_costs_its_counters(tmp_path: Path) -> None:
    """The other filesystem has them."""
    good = "rw 10 20\ndir 1 2 3 4\n"
    text, lost = read(
        xfs.SPEC, write(tmp_path, {"sys/fs/xfs/a/stats/stats": good, "sys/fs/xfs/b/stats/stats": "rw 1\ndir 5 6 7 8\n"})
    )

    assert 'node_xfs_write_calls_total{device="a"} 10' in text
    assert 'node_xfs_read_calls_total{device="a"} 20' in text
    assert 'calls_total{device="b"}' not in text
    assert 'node_xfs_directory_operation_getdents_total{device="b"} 8' in text
    assert lost == 1


def test_a_file_of_zfs_without_its_heading_costs_itself(tmp_path: Path) -> None:
    """Pools that are exported meanwhile cost nothing; names that cannot be a metric's are a loss."""
    base = "proc/spl/kstat/zfs"
    heading = "13 1 0x01 4 1088 1 2\nname type data\n"
    files = {
        f"{base}/arcstats": f"{heading}hits 4 7\nl2/size 4 1\nname 7 text\n",
        f"{base}/zil": "nothing\n",
        f"{base}/tank/state": "FAULTED\n",
    }
    text, lost = read(zfs.SPEC, write(tmp_path, files))

    assert "node_zfs_arc_hits 7" in text
    assert 'node_zfs_zpool_state{zpool="tank",state="faulted"} 1' in text
    assert lost == 2


def test_a_counter_that_an_adapter_does_not_have_is_no_loss(tmp_path: Path) -> None:
    """What is no number is one."""
    base = "sys/class/infiniband/mlx5_0/ports/1"
    files = {
        f"{base}/state": "4: ACTIVE",
        f"{base}/rate": "fast",
        f"{base}/counters/link_downed": "N/A (no PMA)",
        f"{base}/counters/port_rcv_data": "100",
    }
    text, lost = read(infiniband.SPEC, write(tmp_path, files))

    assert 'node_infiniband_port_data_received_bytes_total{device="mlx5_0",port="1"} 400' in text
    assert "link_downed" not in text
    assert lost == 1


def test_backends_with_the_same_labels_are_added_up() -> None:
    """A line that is damaged costs its server, and one of an unknown service those below it."""
    losses = Losses()
    text = (
        "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"
        "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
        "TCP  7F000001:0050 rr\n  -> 7F000002:0050 Masq 1 2 3\n  -> 7F00000X:0050 Masq 1 2 3\n"
        "UDP  nonsense rr\n  -> 7F000003:0050 Masq 1 2 3\n"
    )
    found = ipvs.parse_backends(text, losses)

    assert [backend.labels for backend in found] == [("127.0.0.1", "80", "127.0.0.2", "80", "TCP", "")]
    assert losses.count == 2


def test_labels_of_backends_must_be_known() -> None:
    """The error names the unknown ones."""
    with pytest.raises(ConfigError, match="'colour' is not among local_address"):
        ipvs.SPEC.build(Host(), {"backend-labels": "proto,colour"})


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("1.5k", 1536), ("-2.0M", -2097152), ("3G", 3221225472), ("12.0K", 12288)],
)
def test_sizes_for_people_are_numbers(text: str, size: int) -> None:
    """Prefixes are powers of 1024."""
    assert parse_size(text, "a file") == size


@given(st.text(max_size=40))
def test_any_text_is_a_size_or_an_error(text: str) -> None:
    """Nothing else is raised, and every number is finite."""
    try:
        size = parse_size(text, "a file", of_1024=True)
    except CollectorError:
        return
    assert size - size == 0


def test_what_bcache_cannot_read_costs_its_file(tmp_path: Path) -> None:
    """Files that a kernel does not have cost nothing."""
    base = f"sys/fs/bcache/{UUID}"
    files = {f"{base}/tree_depth": "many", f"{base}/congested": "1", f"{base}/bdev0/dirty_data": "1.0k"}
    text, lost = read(bcache.SPEC, write(tmp_path, files))

    assert f'node_bcache_congested{{uuid="{UUID}"}} 1' in text
    assert 'node_bcache_dirty_data_bytes{backing_device="bdev0"' in text
    assert lost == 1


def fake_ioctl(_descriptor: int, request: int, argument: bytes) -> bytes:
    """Answer for a filesystem of two devices, number 1 and 3, of which 2 was removed."""
    if request == FS_INFO:
        return struct.pack("=QQ16s", 3, 2, bytes.fromhex(UUID.replace("-", ""))) + bytes(992)
    (number,) = struct.unpack_from("=Q", argument)
    if number not in {1, 3}:
        raise OSError(ENODEV, "No such device")
    if request == DEV_INFO:
        head = struct.pack("=Q16sQQ", number, bytes([number] * 16), 100 * number, 1000 * number)
        return head + bytes(3032) + f"/dev/sd{number}".encode().ljust(1024, b"\0")
    assert request == DEV_STATS
    return struct.pack("=QQQ5Q", number, 5, 0, number, 0, 0, 7, 0) + bytes(968)


def test_devices_of_btrfs_and_their_errors(tmp_path: Path) -> None:
    """Numbers that were removed are left out; the argument has the size that the kernel expects."""
    uuid, devices = read_devices(str(tmp_path), fake_ioctl)

    assert uuid == UUID.replace("-", "")
    assert devices == [
        Device("sd1", "01" * 16, 1000, 100, (1, 0, 0, 7, 0)),
        Device("sd3", "03" * 16, 3000, 300, (3, 0, 0, 7, 0)),
    ]


def btrfs_host(directory: Path) -> Host:
    """Return a machine with one Btrfs on one disk."""
    base = f"sys/fs/btrfs/{UUID}"
    mount = "30 1 0:27 / / rw - btrfs /dev/sda rw\n"
    return write(
        directory,
        {
            f"{base}/label": "root",
            f"{base}/devices/sda/size": "2048",
            f"{base}/allocation/data/single/used_bytes": "1",
            "proc/1/mountinfo": mount,
        },
    )


def test_errors_of_btrfs_are_those_of_its_mount(tmp_path: Path) -> None:
    """Sizes, free space and errors are the kernel's, and sysfs is not asked for the sizes."""
    device = Device("sda", "ab" * 16, 1048576, 4096, (0, 1, 2, 3, 4))
    collector = btrfs.BtrfsCollector(btrfs_host(tmp_path), Options({}, {}), lambda _: (UUID.replace("-", ""), [device]))
    text, lost = rendered(collector)
    labels = f'btrfs_dev_uuid="{"ab" * 16}",device="sda",uuid="{UUID}"'

    assert f"node_btrfs_device_size_bytes{{{labels}}} 1048576" in text
    assert f"node_btrfs_device_unused_bytes{{{labels}}} 1044480" in text
    assert f'node_btrfs_device_errors_total{{{labels},type="corruption"}} 3' in text
    assert lost == 0


def test_a_mount_of_btrfs_that_cannot_be_opened_costs_the_errors_alone(tmp_path: Path) -> None:
    """Another user's mount is such a one; sysfs has the sizes."""

    def refuse(_path: str) -> tuple[str, list[Device]]:
        raise PermissionError(EPERM, "Operation not permitted")

    text, lost = rendered(btrfs.BtrfsCollector(btrfs_host(tmp_path), Options({}, {}), refuse))

    assert f'node_btrfs_device_size_bytes{{btrfs_dev_uuid="",device="sda",uuid="{UUID}"}} 1048576' in text
    assert "node_btrfs_device_errors_total" not in text
    assert lost == 0


@pytest.mark.parametrize("spec", [bcache.SPEC, btrfs.SPEC, nvme.SPEC, infiniband.SPEC], ids=lambda spec: spec.name)
def test_a_driver_without_a_device_has_no_data(spec: Spec, tmp_path: Path) -> None:
    """The directory of a loaded driver is empty, or has its features alone."""
    host = write(tmp_path, {"sys/fs/btrfs/features/raid56": "0"})
    for name in ("fs/bcache", "class/nvme", "class/infiniband"):
        (tmp_path / "sys" / name).mkdir(parents=True)
    with pytest.raises(NoDataError):
        spec.build(host).collect()
