"""Counters of network protocols: /proc/net/netstat, snmp and snmp6.

Source: kernel Documentation/networking/snmp_counter.rst.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FIELDS = (
    "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    "|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)"
    "|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    "|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# Index of a word in a line of numbers, and its family.
Column = tuple[int, Family]


def parse_pairs(text: str, file: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of lines `PROTOCOL: NAME…` and `PROTOCOL: NUMBER…`.

    Raises:
        CollectorError: A line of names is not followed by numbers of the same protocol.
    """
    lines = text.splitlines()
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        protocol = names.partition(" ")[0]
        if not protocol.endswith(":") or not numbers.startswith(protocol):
            raise CollectorError(f"/proc/net/{file}: '{names[:40]}' is not followed by its numbers")
        yield names, numbers


class NetstatCollector:
    """Exports the fields that match --collector.netstat.fields; a line of names is parsed once and cached."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._wanted = pattern("netstat", "fields", options.text("fields"))
        self._columns: dict[str, tuple[int, list[Column]]] = {}
        self._six: dict[str, Family | None] = {}

    def collect(self) -> list[Reading]:
        """Return one untyped family per field, since the files mix counters and gauges."""
        readings = [
            reading
            for file in ("netstat", "snmp")
            for names, numbers in parse_pairs(self._host.read_net(file), file)
            for reading in self._pair(names, numbers, file)
        ]
        with suppress(NoDataError):  # a kernel without IPv6
            readings.extend(self._snmp6(self._host.read_net("snmp6")))
        return readings

    def _pair(self, names: str, numbers: str, file: str) -> list[Reading]:
        known = self._columns.get(names)
        if known is None:
            known = self._columns[names] = self._learn(names, file)
        width, columns = known
        words = numbers.split()
        if len(words) != width:
            raise CollectorError(f"/proc/net/{file}: {words[0]} has {len(words)} numbers for {width} names")
        return [single(family, whole(words[index], f"/proc/net/{file}: {family.name}")) for index, family in columns]

    def _learn(self, line: str, file: str) -> tuple[int, list[Column]]:
        protocol, *names = line.split()
        families = [self._family(protocol.rstrip(":"), name, file) for name in names]
        columns = [(index, family) for index, family in enumerate(families, 1) if family is not None]
        return len(names) + 1, columns

    def _family(self, protocol: str, name: str, file: str) -> Family | None:
        if not (NAME.fullmatch(protocol) and NAME.fullmatch(name)):
            raise CollectorError(f"/proc/net/{file}: '{protocol[:20]} {name[:20]}' is not a field's name")
        key = f"{protocol}_{name}"
        if self._wanted is not None and not self._wanted.search(key):
            return None
        return Family(f"node_netstat_{key}", "untyped", f"Statistic {protocol}{name}.")

    def _snmp6(self, text: str) -> Iterator[Reading]:
        for line in text.splitlines():
            key, _, number = line.partition(" ")
            key = key.partition("\t")[0]
            if key not in self._six:
                protocol, six, name = key.partition("6")
                self._six[key] = self._family(protocol + six, name, "snmp6") if six else None
            family = self._six[key]
            if family is not None:
                yield single(family, whole(number.strip() or line.rpartition("\t")[2], f"/proc/net/snmp6: {key}"))


SPEC = Spec(
    "netstat",
    NetstatCollector,
    "counters of IP, ICMP, TCP and UDP",
    (Option("fields", FIELDS, "regular expression of fields to export, each PROTOCOL_NAME"),),
)
