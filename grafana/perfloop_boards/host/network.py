"""Network interfaces: throughput, what is lost, state and speed of each, and the kernel's work for every packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.selection import (
    DEVICE,
    MACHINE,
    NO_HOST,
    OF_ALL,
    OF_HOST,
    REAL_NET,
    flow,
    leading,
    level,
    named,
    recorded,
)
from perfloop_boards.limits import FIRST_WARNS
from perfloop_boards.links import of_cell, to_board, to_runbook
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, equal, rate
from perfloop_boards.tables import Column, rows

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NO_SOFTNET = "The kernel's statistics of received packets (softnet) are not collected from the chosen hosts."
LINK = "{{device}} · {{instance}}"
# The kernel knows no state of a loopback or a tunnel: it says `unknown`, which is not down.
STATE = {"1": ("up", colours.GOOD), "0": ("down", colours.UNKNOWN), "2": ("no state", colours.UNKNOWN)}
FAULTS = {
    "receive_errs": "receive errors",
    "transmit_errs": "transmit errors",
    "receive_drop": "receive drops",
    "transmit_drop": "transmit drops",
    "receive_fifo": "receive FIFO",
    "transmit_fifo": "transmit FIFO",
    "receive_frame": "frame errors",
    "transmit_colls": "collisions",
    "transmit_carrier": "carrier errors",
    "receive_nohandler": "no handler",
}


def throughput(limits: Limits) -> AnyPanel:
    """Bytes received and sent, the panel of the signal."""
    return lines(
        About(
            "Network throughput",
            "Good: under the dashed line. Loopback and virtual devices are excluded.",
            "Bps",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_network_receive_bytes_total", REAL_NET), "received · {{instance}}"),
            Query(flow("node_network_transmit_bytes_total", REAL_NET), "sent · {{instance}}"),
        ],
        limits.signal("network_io_bytes_per_second"),
    )


def faults() -> AnyPanel:
    """Packets lost on the way through an interface."""
    return lines(
        About(
            "Network drops and errors",
            "Packets per second. Good: 0. Drops: a full queue. Errors: cable, driver or virtual switch.",
            "pps",
            NO_HOST,
            links=(*OF_HOST, to_runbook("NetworkErrors")),
        ),
        [
            Query(recorded("instance:node_network_drops:rate1m"), "packet drops · {{instance}}"),
            Query(recorded("instance:node_network_errors:rate1m"), "packet errors · {{instance}}"),
        ],
    )


def details() -> Row:
    """Interfaces and the kernel's receive path: opened when the network is the suspect."""
    panels = (_used(), _packets(), _kinds(), _changes(), _received(), _squeezed(), _spread(), _neighbours())
    return Row(7, [(24, _table()), *((6, panel) for panel in panels)], title="Network interfaces", collapsed=True)


def _table() -> AnyPanel:
    by = "instance, device"
    host = (to_board("Show this host alone", "system", instance=of_cell("Host")),)
    lost = " + ".join(
        rate(f"node_network_{kind}_total", *MACHINE, by=DEVICE)
        for kind in ("receive_errs", "transmit_errs", "receive_drop", "transmit_drop")
    )
    up, stateless = named("node_network_up"), named("node_network_info", equal("operstate", "unknown"))
    return rows(
        About(
            "Interfaces",
            "State: what the driver reports; a virtual interface that is not in use is down. Good: the one that "
            "carries traffic is up, at the speed it was bought for, and loses nothing.",
            "none",
            "No network interface of the chosen hosts is monitored.",
        ),
        [
            Query(f"max by ({by}) ({stateless}) * 2 or max by ({by}) ({up})", instant=True),
            Query(f"max by ({by}) ({named('node_network_speed_bytes')}) > 0", instant=True),
            Query(rate("node_network_receive_bytes_total", *MACHINE, by=DEVICE), instant=True),
            Query(rate("node_network_transmit_bytes_total", *MACHINE, by=DEVICE), instant=True),
            Query(lost, instant=True),
            Query(f"max by ({by}) ({named('node_network_mtu_bytes')})", instant=True),
            Query(f"max by ({by}) ({named('node_network_transmit_queue_length')})", instant=True),
            Query(f"max by ({by}) ({named('node_network_carrier')})", instant=True),
        ],
        [
            Column("instance", "Host", links=host),
            Column("device", "Interface"),
            Column("Value #A", "State", unit="none", words=STATE, width=90),
            Column(
                "Value #H", "Carrier", unit="none", words={"1": ("yes", colours.GOOD), "0": ("no", colours.UNKNOWN)}
            ),
            Column("Value #B", "Speed", unit="Bps"),
            Column("Value #C", "Received", unit="Bps"),
            Column("Value #D", "Sent", unit="Bps"),
            Column("Value #E", "Lost packets", unit="pps", limit=FIRST_WARNS),
            Column("Value #F", "MTU, bytes", unit="none"),
            Column("Value #G", "Send queue", unit="none"),
        ],
        sort="Received",
    )


def _used() -> AnyPanel:
    speed = f"(max by (instance, device) ({named('node_network_speed_bytes')}) > 0)"
    return lines(
        About(
            "Interface speed used",
            "Share of the interface's speed, of the busier direction. Good: under 70%. Above, packets wait and are "
            "dropped.",
            "percentunit",
            "No interface of the chosen hosts reports its speed: virtual ones do not.",
            links=OF_HOST,
        ),
        [
            Query(
                leading(
                    f"{rate(f'node_network_{way}_bytes_total', *MACHINE, by=DEVICE)} / on (instance, device) {speed}",
                    named(f"node_network_{way}_bytes_total"),
                    *DEVICE,
                ),
                f"{name} · {LINK}",
            )
            for way, name in (("receive", "received"), ("transmit", "sent"))
        ],
    )


def _packets() -> AnyPanel:
    return lines(
        About(
            "Packets",
            "Per second. Many packets for few bytes cost CPU time: batch small messages, or keep connections open.",
            "pps",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_network_receive_packets_total", by=DEVICE), f"received · {LINK}"),
            Query(flow("node_network_transmit_packets_total", by=DEVICE), f"sent · {LINK}"),
            Query(flow("node_network_receive_multicast_total", by=DEVICE), f"multicast · {LINK}"),
        ],
    )


def _kinds() -> AnyPanel:
    return lines(
        About(
            "Lost packets by cause",
            "Per second, of the chosen hosts together. Good: 0. FIFO: the driver was too slow; frame, carrier and "
            "collisions: cable or duplex; no handler: a protocol that nobody speaks.",
            "pps",
            NO_HOST,
            links=OF_ALL,
        ),
        [Query(rate(f"node_network_{kind}_total", *MACHINE), name) for kind, name in FAULTS.items()],
    )


def _changes() -> AnyPanel:
    return lines(
        About(
            "Carrier changes",
            "How often the link came or went, within five minutes. Good: 0. A cable, a port of the switch, or a driver "
            "that resets its card.",
            "none",
            "No interface of the chosen hosts counts carrier changes.",
            links=OF_HOST,
        ),
        [
            Query(
                f"sum by (instance, device) (increase({named('node_network_carrier_changes_total', REAL_NET)}[5m]))",
                LINK,
            )
        ],
        FIRST_WARNS,
    )


def _received() -> AnyPanel:
    core = ("instance", "cpu")
    return lines(
        About(
            "Packets received by core",
            "Per second (softnet). Good: spread over several cores. All on one: the card has one queue; see receive "
            "packet steering (RPS).",
            "pps",
            NO_SOFTNET,
            links=OF_HOST,
        ),
        [Query(flow("node_softnet_processed_total", by=core), "CPU {{cpu}} · {{instance}}")],
    )


def _squeezed() -> AnyPanel:
    return lines(
        About(
            "Receive queue of the kernel",
            "Per second (softnet). Good: 0. Dropped: the queue was full (net.core.netdev_max_backlog). Out of time: "
            "packets were left for the next turn (net.core.netdev_budget).",
            "none",
            NO_SOFTNET,
            links=OF_HOST,
        ),
        [
            Query(flow("node_softnet_dropped_total"), "dropped · {{instance}}"),
            Query(flow("node_softnet_times_squeezed_total"), "out of time · {{instance}}"),
            Query(level("node_softnet_backlog_len"), "waiting · {{instance}}"),
        ],
    )


def _spread() -> AnyPanel:
    return lines(
        About(
            "Receive steering",
            "Per second (softnet). Steered: handed to another core by RPS. Limited: dropped because one flow filled "
            "the queue. Collisions: two cores wanted one device.",
            "none",
            NO_SOFTNET,
            links=OF_HOST,
        ),
        [
            Query(flow("node_softnet_received_rps_total"), "steered · {{instance}}"),
            Query(flow("node_softnet_flow_limit_count_total"), "limited · {{instance}}"),
            Query(flow("node_softnet_cpu_collision_total"), "collisions · {{instance}}"),
        ],
    )


def _neighbours() -> AnyPanel:
    return lines(
        About(
            "Known neighbours (ARP)",
            "Machines on the same network. Near net.ipv4.neigh.default.gc_thresh3 (1,024 unless changed), new "
            "connections fail now and then.",
            "none",
            "No entry in the ARP table of the chosen hosts.",
            links=OF_HOST,
        ),
        [Query(level("node_arp_entries", by=DEVICE), LINK)],
    )
