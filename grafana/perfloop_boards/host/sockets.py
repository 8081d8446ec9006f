"""TCP, UDP and sockets: retransmits, full listen queues, connections by state, tracked connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.selection import NO_HOST, OF_ALL, OF_HOST, flow, level, named, per
from perfloop_boards.limits import Limit
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from perfloop_boards.panels import AnyPanel

# One segment of a hundred sent twice: a path that loses packets; a connection then has a fraction of its speed.
LOSSY = Limit(warning=0.01, critical=0.05)
# With a full table the kernel drops every new connection.
TABLE_FULL = Limit(warning=0.75, critical=0.9)


def details() -> Row:
    """Opened when connections fail, wait or are slow while the interface itself is fine."""
    panels = (
        *(_retransmits(), _listen(), _states(), _connections()),
        *(_sockets(), _memory(), _tracked(), _untracked()),
        *(_handshakes(), _udp(), _queues(), _octets()),
    )
    return Row(7, [(6, panel) for panel in panels], title="TCP, UDP and connections", collapsed=True)


def _retransmits() -> AnyPanel:
    return lines(
        About(
            "TCP retransmits",
            "Share of segments that were sent again. Good: under 1%. Above: packets are lost on the way, or the other "
            "side does not answer.",
            "percentunit",
            NO_HOST,
            decimals=2,
            links=OF_HOST,
        ),
        [Query(per("node_netstat_Tcp_RetransSegs", "node_netstat_Tcp_OutSegs"), "{{instance}}")],
        LOSSY,
    )


def _listen() -> AnyPanel:
    return lines(
        About(
            "Listen queue overflows",
            "Connections per second that found the queue of a listening socket full. Good: 0. The program accepts too "
            "slowly, or its backlog is too short (net.core.somaxconn).",
            "cps",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_netstat_TcpExt_ListenOverflows"), "overflows · {{instance}}"),
            Query(flow("node_netstat_TcpExt_ListenDrops"), "drops · {{instance}}"),
        ],
    )


def _states() -> AnyPanel:
    states = named("node_tcp_connection_states", 'state!~".*_queued_bytes"')
    return lines(
        About(
            "TCP connections by state",
            "Of the chosen hosts together. Many in time_wait: connections that are not reused. A growing close_wait: a "
            "program that does not close them.",
            "none",
            "TCP states are not collected: start the exporter with --collector.tcpstat.",
            links=OF_ALL,
        ),
        [Query(f"sum by (state) ({states})", "{{state}}")],
    )


def _connections() -> AnyPanel:
    return lines(
        About(
            "TCP connections opened",
            "Per second, of the chosen hosts together. Accepted ones that rise with the requests: clients do not keep "
            "their connections.",
            "cps",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(_sum("Tcp_PassiveOpens"), "accepted"),
            Query(_sum("Tcp_ActiveOpens"), "opened"),
            Query(_sum("Tcp_OutRsts"), "resets sent"),
            Query(_sum("Tcp_InErrs"), "segments with errors", colours.ERRORS),
        ],
    )


def _sum(field: str) -> str:
    return f"sum(rate({named(f'node_netstat_{field}')}[$__rate_interval]))"


def _sockets() -> AnyPanel:
    return lines(
        About(
            "Sockets in use",
            "Of the chosen hosts together. Good: follows the load and falls again. Orphaned: closed by the program, "
            "with data still to send.",
            "none",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(f"sum({named(f'node_sockstat_{field}')})", name)
            for field, name in (
                ("sockets_used", "all kinds"),
                ("TCP_inuse", "TCP in use"),
                ("TCP_alloc", "TCP allocated"),
                ("TCP_tw", "TCP time_wait"),
                ("TCP_orphan", "TCP orphaned"),
                ("TCP6_inuse", "TCP (IPv6) in use"),
                ("UDP_inuse", "UDP in use"),
            )
        ],
    )


def _memory() -> AnyPanel:
    return lines(
        About(
            "Memory of sockets",
            "Buffers of the chosen hosts together. A rise: data that programs do not read, or that the other side does "
            "not take (net.ipv4.tcp_mem).",
            "bytes",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(f"sum({named(f'node_sockstat_{field}')})", name)
            for field, name in (("TCP_mem_bytes", "TCP"), ("UDP_mem_bytes", "UDP"), ("FRAG_memory", "fragments"))
        ],
    )


def _tracked() -> AnyPanel:
    entries, most = named("node_nf_conntrack_entries"), named("node_nf_conntrack_entries_limit")
    return lines(
        About(
            "Tracked connections",
            "Share of the table that firewall and NAT use. Good: under 75%. At 100%, new connections are dropped: "
            "raise net.netfilter.nf_conntrack_max.",
            "percentunit",
            "The chosen hosts track no connections (no nf_conntrack).",
            decimals=1,
            links=OF_HOST,
        ),
        [Query(f"{entries} / ({most} > 0)", "{{instance}}")],
        TABLE_FULL,
    )


def _untracked() -> AnyPanel:
    return lines(
        About(
            "Connections not tracked",
            "Packets in five minutes. Good: 0. Dropped: the table or memory was full. Invalid: no connection is known "
            "for them.",
            "none",
            "The chosen hosts track no connections (no nf_conntrack).",
            links=OF_HOST,
        ),
        [
            Query(f"increase({named(f'node_nf_conntrack_stat_{kind}')}[5m])", f"{name} · {{{{instance}}}}")
            for kind, name in (
                ("drop", "dropped"),
                ("early_drop", "dropped early"),
                ("insert_failed", "not inserted"),
                ("invalid", "invalid"),
            )
        ],
    )


def _handshakes() -> AnyPanel:
    return lines(
        About(
            "TCP timeouts and SYN",
            "Per second, of the chosen hosts together. Good: near 0. SYN sent again: the other side does not answer. "
            "SYN cookies: a flood of new connections.",
            "cps",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(_sum("TcpExt_TCPTimeouts"), "timeouts"),
            Query(_sum("TcpExt_TCPSynRetrans"), "SYN sent again"),
            Query(_sum("TcpExt_SyncookiesSent"), "SYN cookies sent"),
            Query(_sum("TcpExt_SyncookiesFailed"), "SYN cookies failed"),
            Query(_sum("TcpExt_TCPRcvQDrop"), "receive queue full"),
            Query(_sum("TcpExt_TCPOFOQueue"), "out of order"),
        ],
    )


def _udp() -> AnyPanel:
    return lines(
        About(
            "UDP and ICMP errors",
            "Packets per second, of the chosen hosts together. Good: 0. Buffer errors: a program reads too slowly, or "
            "its buffer is too small. No port: nobody listens.",
            "pps",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(_sum(field), name)
            for field, name in (
                ("Udp_InErrors", "UDP received with errors"),
                ("Udp_RcvbufErrors", "UDP receive buffer full"),
                ("Udp_SndbufErrors", "UDP send buffer full"),
                ("Udp_NoPorts", "UDP without a port"),
                ("Icmp_InErrors", "ICMP with errors"),
            )
        ],
    )


def _queues() -> AnyPanel:
    return lines(
        About(
            "UDP queues",
            "Bytes that wait. Good: returns to 0. Receive: the program does not read. Send: the interface is full.",
            "bytes",
            "The queues of UDP sockets are not collected from the chosen hosts.",
            links=OF_HOST,
        ),
        [Query(level("node_udp_queues", by=("instance", "ip", "queue")), "{{queue}} {{ip}} · {{instance}}")],
    )


def _octets() -> AnyPanel:
    return lines(
        About(
            "IP traffic and datagrams",
            "Bytes per second that IP received and sent, loopback included, of the chosen hosts together; more than "
            "the interfaces carry is traffic between programs of one host.",
            "Bps",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(_sum("IpExt_InOctets"), "received"),
            Query(_sum("IpExt_OutOctets"), "sent"),
            Query(_sum("Ip6_InOctets"), "received (IPv6)"),
            Query(_sum("Ip6_OutOctets"), "sent (IPv6)"),
        ],
    )
