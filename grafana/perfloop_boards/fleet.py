"""The hosts board: every host in one table, what is wrong first, and the hosts that are the busiest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, evenly
from perfloop_boards.host.selection import alive
from perfloop_boards.limits import FIRST_IS_BAD, NO_LIMIT, megabytes, percent, plain
from perfloop_boards.links import of_cell, of_label, to_board
from perfloop_boards.panels import About, figure, lines, number, timeline
from perfloop_boards.queries import Query, highest
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import ALL_HOSTS, host_up
from perfloop_boards.words import UP as UP_WORDS

if TYPE_CHECKING:
    from perfloop_boards.limits import Limit, Limits
    from perfloop_boards.panels import AnyPanel

SHOWN = 8
# Of the history of what was up: more bars than that cannot be read.
BARS = 20
NOTHING = "no host"
NO_HOST = "No data of any host: none is monitored, or no exporter answers."
NO_PRESSURE = "No pressure (PSI) data of any host. Needs kernel ≥ 4.20 with psi=1."
UP = host_up()
STATE = {"0": ("up", colours.GOOD), "1": ("down", colours.BAD)}
EVERY_HOST = (to_board("Open the System board", "system"),)
OF_HOST = (to_board("Open this host", "system", instance=of_label("instance")),)
OF_ROW = (to_board("Open this host", "system", instance=of_cell("Host")),)


def _hosts_up() -> AnyPanel:
    return figure(
        About(
            "Hosts up",
            "Hosts whose exporter answers, of all that are monitored.",
            "none",
            NOTHING,
            decimals=0,
            links=EVERY_HOST,
        ),
        Query(f"count({UP} == 1)"),
        colours.TRAFFIC,
        watch=ALL_HOSTS,
    )


def _hosts_down() -> AnyPanel:
    # No watch: this is the count of what is down.
    return number(
        About(
            "Hosts down",
            "Hosts whose exporter does not answer. Good: 0. The host is dead, cannot be reached, or its exporter has "
            "ended.",
            "none",
            NOTHING,
            decimals=0,
            links=EVERY_HOST,
        ),
        Query(f"count({UP} == 0) or 0 * count({UP})"),
        FIRST_IS_BAD,
    )


def _worst(about: tuple[str, str, str, int], series: str, limit: Limit) -> AnyPanel:
    title, good, unit, decimals = about
    return number(
        About(title, good, unit, NOTHING, decimals=decimals, links=EVERY_HOST),
        Query(f"max({alive(series)})"),
        limit,
        watch=ALL_HOSTS,
    )


def _figures(limits: Limits) -> Row:
    cpu, memory = limits.signal("cpu_used_ratio"), limits.signal("memory_used_ratio")
    full, load = limits.alert("FilesystemNearlyFull"), limits.alert("LoadHigh")
    of_cpu = ("Highest CPU", f"CPU used on the busiest host. Good: under {percent(cpu.first)}.", "percentunit", 0)
    of_memory = (
        "Highest memory",
        f"Memory used on the host with the least left. Good: under {percent(memory.first)}.",
        "percentunit",
        0,
    )
    of_disk = (
        "Fullest disk",
        f"The fullest filesystem of any host. Good: under {percent(full.first)}. Full, writes fail.",
        "percentunit",
        0,
    )
    of_load = (
        "Highest load",
        f"Tasks per CPU that run or wait. Good: under 1. Above {plain(load.first)}, they queue.",
        "none",
        2,
    )
    return Row(
        4,
        evenly(
            _hosts_up(),
            _hosts_down(),
            _worst(of_cpu, "instance:node_cpu_used:ratio_rate1m", cpu),
            _worst(of_memory, "instance:node_memory_used:ratio", memory),
            _worst(of_disk, "instance_mountpoint:node_filesystem_used:ratio", full),
            _worst(of_load, "instance:node_load1_per_cpu:ratio", load),
        ),
    )


def _of_each(series: str) -> Query:
    return Query(f"max by (instance) ({alive(series)})", instant=True)


def _table(limits: Limits) -> AnyPanel:
    """Every host with its state; one that is down has a row too, with the time since it was last seen."""
    pressure = " or ".join(
        f'label_replace(instance:node_{what}_pressure:rate1m, "of", "{what}", "", "")'
        for what in ("cpu", "memory", "io")
    )
    queries = [
        Query(f"1 - {UP}", instant=True),
        # By the host's own clock, which may be ahead.
        Query("clamp_min(time() - max by (instance) (last_over_time(node_time_seconds[1d])), 0)", instant=True),
        _of_each("instance:node_cpu_used:ratio_rate1m"),
        _of_each("instance:node_load1_per_cpu:ratio"),
        _of_each("instance:node_memory_used:ratio"),
        _of_each("instance_mountpoint:node_filesystem_used:ratio"),
        _of_each("instance:node_disk_io_bytes:rate1m"),
        _of_each("instance:node_network_io_bytes:rate1m"),
        _of_each(f"({pressure})"),
        _of_each("instance:node_num_cpu:count"),
        _of_each("time() - node_boot_time_seconds"),
    ]
    return rows(
        About(
            "All hosts",
            "Hosts that are down come first. Last seen: how long ago its exporter answered. Pressure: the share of "
            "time in which some task waited for a CPU, memory or the disk. Good: every figure green; open the host "
            "whose is not.",
            "none",
            "No host is monitored: is the exporter running, and a target of Prometheus?",
        ),
        queries,
        _columns(limits),
        sort="State",
    )


def _columns(limits: Limits) -> list[Column]:
    return [
        Column("instance", "Host", links=OF_ROW),
        Column("Value #A", "State", unit="none", words=STATE, width=80),
        Column("Value #B", "Last seen", unit="s", width=100),
        Column("Value #C", "CPU", unit="percentunit", limit=limits.signal("cpu_used_ratio"), width=80),
        Column("Value #D", "Load/CPU", unit="none", limit=limits.alert("LoadHigh"), width=90),
        Column("Value #E", "Memory", unit="percentunit", limit=limits.signal("memory_used_ratio"), width=90),
        Column("Value #F", "Fullest disk", unit="percentunit", limit=limits.alert("FilesystemNearlyFull"), width=110),
        Column("Value #G", "Disk I/O", unit="Bps", limit=limits.signal("disk_io_bytes_per_second"), width=110),
        Column("Value #H", "Network", unit="Bps", limit=limits.signal("network_io_bytes_per_second"), width=110),
        Column("Value #I", "Pressure", unit="percentunit", limit=limits.alert("MemoryPressure"), width=90),
        Column("Value #J", "CPUs", unit="none", width=70),
        Column("Value #K", "Uptime", unit="s", width=100),
    ]


def _history() -> AnyPanel:
    # As host_up, of each moment: an hour back instead of a day, which would be read again for each of them.
    up = 'up{job="node"} or up and on (job, instance) last_over_time(node_boot_time_seconds[1h])'
    worst = f"bottomk({BARS}, min by (instance) (avg_over_time(up[$__range] @ end()) and on (instance) ({up})))"
    return timeline(
        About(
            "Hosts up and down",
            f"The {BARS} hosts that were down for longest. Good: one colour. All at once: the network between them and "
            "Prometheus, not the hosts.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        Query(f"max by (instance) ({up}) and on (instance) {worst}", "{{instance}}"),
        UP_WORDS,
    )


def _top(title: str, good: str, unit: str, series: str, limit: Limit = NO_LIMIT) -> AnyPanel:
    return lines(
        About(title, f"The {SHOWN} highest. {good}", unit, NO_HOST, links=OF_HOST),
        [Query(highest(SHOWN, series, series, "instance"), "{{instance}}")],
        limit,
    )


def _pressure(what: str, title: str, good: str, limit: Limit = NO_LIMIT) -> AnyPanel:
    series = f"instance:node_{what}_pressure:rate1m"
    return lines(
        About(title, f"The {SHOWN} highest. {good}", "percentunit", NO_PRESSURE, links=OF_HOST),
        [Query(highest(SHOWN, series, series, "instance"), "{{instance}}")],
        limit,
    )


def _used(limits: Limits) -> Row:
    cpu, memory = limits.signal("cpu_used_ratio"), limits.signal("memory_used_ratio")
    full = limits.alert("FilesystemNearlyFull")
    by = ("instance", "mountpoint")
    series = "instance_mountpoint:node_filesystem_used:ratio"
    filesystems = lines(
        About(
            "Filesystem used by host",
            f"The {SHOWN} fullest. Good: under {percent(full.first)}. Above {percent(full.last)}, writes will soon "
            "fail.",
            "percentunit",
            NO_HOST,
            links=OF_HOST,
        ),
        [Query(highest(SHOWN, series, series, *by), "{{mountpoint}} · {{instance}}")],
        full,
    )
    return Row(
        8,
        evenly(
            _top(
                "CPU used by host",
                f"Good: under {percent(cpu.first)}, and alike where hosts share their load.",
                "percentunit",
                "instance:node_cpu_used:ratio_rate1m",
                cpu,
            ),
            _top(
                "Memory used by host",
                f"Good: under {percent(memory.first)}. One that grows alone: a leak, or work that is not shared.",
                "percentunit",
                "instance:node_memory_used:ratio",
                memory,
            ),
            filesystems,
        ),
    )


def _load(limits: Limits) -> Row:
    load = limits.alert("LoadHigh")
    disk, network = limits.signal("disk_io_bytes_per_second"), limits.signal("network_io_bytes_per_second")
    return Row(
        8,
        evenly(
            _top(
                "Load per CPU by host",
                f"Good: under 1. Above {plain(load.first)}, tasks queue for the CPU.",
                "none",
                "instance:node_load1_per_cpu:ratio",
                load,
            ),
            _top(
                "Disk I/O by host",
                f"Read and written. Good: under {megabytes(disk.first)}.",
                "Bps",
                "instance:node_disk_io_bytes:rate1m",
                disk,
            ),
            _top(
                "Network I/O by host",
                f"Received and sent. Good: under {megabytes(network.first)}.",
                "Bps",
                "instance:node_network_io_bytes:rate1m",
                network,
            ),
        ),
    )


def _waiting(limits: Limits) -> Row:
    limit = limits.alert("MemoryPressure")
    return Row(
        8,
        evenly(
            _pressure(
                "cpu", "CPU pressure by host", "Share of time in which some task waited for a CPU. Good: near 0."
            ),
            _pressure(
                "memory",
                "Memory pressure by host",
                f"Good: 0. Above {percent(limit.first)}, the host swaps or reclaims pages.",
                limit,
            ),
            _pressure(
                "io",
                "Disk pressure by host",
                f"Good: under {percent(limit.first)}. Above: read and write less, or use a faster disk.",
                limit,
            ),
        ),
    )


def build(limits: Limits) -> Board:
    """The hosts board of a configuration."""
    return Board(
        uid="fleet",
        title="Hosts",
        question="Which hosts are down, which are short of something, and do they share their load?",
        related=("system", "kubernetes"),
        rows=(
            _figures(limits),
            Row(10, evenly(_table(limits))),
            Row(6, evenly(_history())),
            _used(limits),
            _load(limits),
            _waiting(limits),
        ),
    )
