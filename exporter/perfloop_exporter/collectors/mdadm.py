"""Software RAID: /proc/mdstat and /sys/block/md*/md (kernel: drivers/md/md.c, Documentation/admin-guide/md.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Sample, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

STATE = gauge("node_md_state", "Whether the array is in a state: 1 for the one it is in.", "device", "state")
DISKS = gauge("node_md_disks", "Disks of the array that are active, failed or spare.", "device", "state")
REQUIRED = gauge("node_md_disks_required", "Disks that the complete array has.", "device")
BLOCKS = gauge("node_md_blocks", "Size of the array in blocks of 1 KiB.", "device")
SYNCED = gauge("node_md_blocks_synced", "Blocks that are in sync; fewer than all while the array syncs.", "device")
RAID_DISKS = gauge("node_md_raid_disks", "Disks that the array is configured for.", "device")
DEGRADED = gauge("node_md_degraded", "Disks that the array lacks.", "device")

STATES = ("active", "inactive", "recovering", "resync", "check")
# What mdstat calls the running action, and the state that stands for it. During a reshape no state is 1, as in
# node_exporter.
ACTIONS = {"recovery": "recovering", "reshape": "reshape", "check": "check", "resync": "resync"}
ACTION = re.compile(r"\b(recovery|reshape|check|resync)\s*=")
BLOCK_COUNT = re.compile(r"\s*([0-9]+) blocks\b")
MEMBERS = re.compile(r"\[([0-9]+)/([0-9]+)\] \[[U_]+\]")
PROGRESS = re.compile(r"\(([0-9]+)/[0-9]+\)")
# Their disks are not counted in the status line: all of them are needed.
WITHOUT_REDUNDANCY = frozenset(("raid0", "linear"))
# External metadata: such an array holds others, and has no disks of its own.
CONTAINERS = frozenset(("container", "imsm", "ddf", ""))


class Array(NamedTuple):
    """One array of mdstat; sizes in blocks of 1 KiB."""

    device: str
    state: str
    active: int
    failed: int
    spare: int
    required: int
    blocks: int
    synced: int


def split_arrays(text: str) -> list[list[str]]:
    """Return the lines of each array of /proc/mdstat: one that begins with its name, and those indented below."""
    arrays: list[list[str]] = []
    for line in lines_of(text):
        if line.startswith((" ", "\t")):
            if arrays:
                arrays[-1].append(line)
        elif line and not line.startswith(("Personalities", "unused devices")):
            arrays.append([line])
    return arrays


def parse_array(lines: list[str]) -> Array:
    """Parse `NAME : STATE [LEVEL] DISK[N](FLAG)…`, the status line below it, and the progress of a running action.

    Raises:
        CollectorError: The lines do not have this form.
    """
    words = columns_of(lines[0])
    size = BLOCK_COUNT.match(lines[1]) if len(lines) > 1 else None
    if len(words) < 3 or size is None:  # noqa: PLR2004  # name, colon, state
        raise CollectorError(f"/proc/mdstat: '{lines[0][:60]}' is not an array with a size")
    state, blocks = words[2], int(size[1])
    required, active = _members(words, lines[1])
    synced = blocks
    for line in lines[2:]:
        action = ACTION.search(line)
        if action:
            state = ACTIONS[action[1]]
            # Without numbers it waits (PENDING, DELAYED), or another machine of the cluster does it (REMOTE).
            progress = PROGRESS.search(line)
            synced = int(progress[1]) if progress else 0
    failed, spare = lines[0].count("(F)"), lines[0].count("(S)")
    return Array(words[0], state, active, failed, spare, required, blocks, synced)


def _members(words: list[str], status: str) -> tuple[int, int]:
    """Return how many disks the array requires, and how many of them are active."""
    if not WITHOUT_REDUNDANCY.isdisjoint(words):
        disks = sum("[" in word for word in words)
        return disks, disks
    if words[2] == "inactive":
        return 0, 0
    members = MEMBERS.search(status)
    if members is None:
        raise CollectorError(f"/proc/mdstat: the status of {words[0]}, '{status[:60]}', does not count its disks")
    return int(members[1]), int(members[2])


class MdadmCollector:
    """Exports state, disks and progress of every array."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one sample per array, and per state; none where the driver has no array."""
        losses = Losses()
        arrays: list[Array] = []
        for lines in split_arrays(self._host.read_proc("mdstat")):
            with losses:
                arrays.append(parse_array(lines))
        raid_disks, degraded = self._configured(losses)
        return losses.settle(
            [
                (STATE, [((one.device, state), int(state == one.state)) for one in arrays for state in STATES]),
                (
                    DISKS,
                    [
                        ((one.device, kind), count)
                        for one in arrays
                        for kind, count in (("active", one.active), ("failed", one.failed), ("spare", one.spare))
                    ],
                ),
                (REQUIRED, [((one.device,), one.required) for one in arrays]),
                (BLOCKS, [((one.device,), one.blocks) for one in arrays]),
                (SYNCED, [((one.device,), one.synced) for one in arrays]),
                (RAID_DISKS, raid_disks),
                (DEGRADED, degraded),
            ]
        )

    def _configured(self, losses: Losses) -> tuple[list[Sample], list[Sample]]:
        """Return the disks of each array, and how many it lacks: 0 where it has no redundancy."""
        disks: list[Sample] = []
        degraded: list[Sample] = []
        base = f"{self._host.sys}/block"
        with losses:
            devices = [name for name in self._host.entries(base) if name.startswith("md")]
            for device in devices:
                level = self._host.attribute(f"{base}/{device}/md/level")
                if level is None:
                    continue
                with losses:
                    # While it grows the former number follows in parentheses.
                    words = (self._host.attribute(f"{base}/{device}/md/raid_disks") or "").split()
                    if level not in CONTAINERS and words:
                        disks.append(((device,), whole(words[0], f"raid_disks of {device}")))
                with losses:
                    text = self._host.attribute(f"{base}/{device}/md/degraded")
                    degraded.append(((device,), whole(text or "0", f"degraded of {device}")))
        return disks, degraded


SPEC = Spec("mdadm", seldom(MdadmCollector), "software RAID")
