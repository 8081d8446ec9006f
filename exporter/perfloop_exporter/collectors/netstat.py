"""Counters of network protocols: /proc/net/netstat, snmp and snmp6.

Source: kernel Documentation/networking/snmp_counter.rst.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, single
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FIELDS = (
    "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    "|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)"
    "|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    "|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# Lines of names, and fields of IPv6, that are remembered; a kernel has some five, and some hundred.
LINES_KEPT = 1000
# Index of a word in a line of numbers, and its family.
Column = tuple[int, Family]


def parse_pairs(text: str, file: str, losses: Losses) -> Iterator[tuple[str, str]]:
    """Yield the pairs of lines `PROTOCOL: NAME…` and `PROTOCOL: NUMBER…`; `losses` takes the lines of no pair."""
    names = ""
    for line in lines_of(text):
        protocol = line.partition(" ")[0]
        if names and protocol.endswith(":") and names.startswith(f"{protocol} "):
            yield names, line
            names = ""
            continue
        if names:
            losses.note(CollectorError(f"/proc/net/{file}: '{names[:40]}' is not followed by its numbers"))
        names = line
    if names:
        losses.note(CollectorError(f"/proc/net/{file}: '{names[:40]}' is not followed by its numbers"))


class NetstatCollector:
    """Exports the fields that match --collector.netstat.fields; a line of names is parsed once and cached."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._wanted = pattern("netstat", "fields", options.text("fields"))
        self._columns: dict[str, tuple[int, list[Column]]] = {}
        self._six: dict[str, Family | None] = {}

    def collect(self) -> list[Item]:
        """Return one untyped family per field, since the files mix counters and gauges."""
        losses = Losses()
        readings: dict[str, Reading] = {}
        for file in ("netstat", "snmp"):
            with losses:
                for names, numbers in parse_pairs(self._host.read_net(file), file, losses):
                    with losses:
                        self._pair((names, numbers), file, readings, losses)
        with losses:  # a kernel without IPv6 does not have it
            self._snmp6(self._host.read_net("snmp6"), readings, losses)
        return losses.settle(list(readings.values()))

    def _pair(self, pair: tuple[str, str], file: str, readings: dict[str, Reading], losses: Losses) -> None:
        names, numbers = pair
        known = self._columns.get(names)
        if known is None:
            if len(self._columns) >= LINES_KEPT:  # a damaged file has ever new ones
                self._columns.clear()
            known = self._columns[names] = self._learn(names, file, losses)
        width, columns = known
        words = columns_of(numbers)
        if len(words) != width:
            raise CollectorError(f"/proc/net/{file}: {words[0]} has {len(words)} numbers for {width} names")
        for index, family in columns:
            try:
                readings[family.name] = single(family, whole(words[index], f"/proc/net/{file}: {family.name}"))
            except CollectorError as error:
                losses.note(error)

    def _learn(self, line: str, file: str, losses: Losses) -> tuple[int, list[Column]]:
        protocol, *names = columns_of(line)
        columns = []
        for index, name in enumerate(names, 1):
            with losses:
                family = self._family(protocol.rstrip(":"), name, file)
                if family is not None:
                    columns.append((index, family))
        return len(names) + 1, columns

    def _family(self, protocol: str, name: str, file: str) -> Family | None:
        if not (NAME.fullmatch(protocol) and NAME.fullmatch(name)):
            raise CollectorError(f"/proc/net/{file}: '{protocol[:20]} {name[:20]}' is not a field's name")
        key = f"{protocol}_{name}"
        if self._wanted is not None and not self._wanted.search(key):
            return None
        return Family(f"node_netstat_{key}", "untyped", f"Statistic {protocol}{name}.")

    def _snmp6(self, text: str, readings: dict[str, Reading], losses: Losses) -> None:
        for line in lines_of(text):
            key, _, number = line.partition(" ")
            key = key.partition("\t")[0]
            try:
                family = self._six[key] if key in self._six else self._learn_six(key)
                if family is not None:
                    value = whole(number.strip() or line.rpartition("\t")[2], f"/proc/net/snmp6: {key}")
                    readings[family.name] = single(family, value)
            except CollectorError as error:
                losses.note(error)

    def _learn_six(self, key: str) -> Family | None:
        protocol, six, name = key.partition("6")
        family = self._family(protocol + six, name, "snmp6") if six else None
        if len(self._six) >= LINES_KEPT:
            self._six.clear()
        self._six[key] = family
        return family


SPEC = Spec(
    "netstat",
    NetstatCollector,
    "counters of IP, ICMP, TCP and UDP",
    (Option("fields", FIELDS, "regular expression of fields to export, each PROTOCOL_NAME"),),
)
