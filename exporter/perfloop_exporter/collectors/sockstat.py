"""Sockets by protocol and state: /proc/net/sockstat and sockstat6 (kernel: net/ipv4/proc.c)."""

from __future__ import annotations

import re
import resource
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, gauge, single
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

USED = gauge("node_sockstat_sockets_used", "IPv4 sockets in use.")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")


def parse_protocols(text: str, file: str, losses: Losses) -> Iterator[tuple[str, str, int]]:
    """Parse lines of `PROTOCOL: STATE COUNT…`.

    Yields:
        Protocol, state and count; the state `mem` counts pages, the others sockets. `losses` takes lines and counts
        that do not have this form.
    """
    for line in lines_of(text):
        protocol, colon, rest = line.partition(":")
        words = columns_of(rest)
        if not colon or len(words) % 2 or not WORD.fullmatch(protocol):
            problem = f"/proc/net/{file}: '{line[:60]}' is not a protocol and pairs of state and count"
            losses.note(CollectorError(problem))
            continue
        for state, count in zip(words[::2], words[1::2], strict=True):
            with losses:
                if not WORD.fullmatch(state):
                    raise CollectorError(f"/proc/net/{file}: '{state[:40]}' is not a state's name")
                yield protocol, state, whole(count, f"/proc/net/{file}: {protocol} {state}")


class SockstatCollector:
    """Exports sockets by protocol and state, and the memory of their buffers."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._page = resource.getpagesize()
        self._families: dict[tuple[str, str], Family] = {}

    def collect(self) -> list[Item]:
        """Return one gauge per protocol and state."""
        losses = Losses()
        readings: list[Reading] = []
        for file in ("sockstat", "sockstat6"):
            with losses:  # a kernel may be without IPv4, or without IPv6
                for protocol, state, count in parse_protocols(self._host.read_net(file), file, losses):
                    readings.extend(self._readings(protocol, state, count))
        if not readings and not losses.count:
            raise NoDataError("this kernel counts no sockets")
        return losses.settle(readings)

    def _readings(self, protocol: str, state: str, count: int) -> Iterator[Reading]:
        if protocol == "sockets":
            yield single(USED, count)
            return
        yield single(self._family(protocol, state), count)
        if state == "mem":  # in pages
            yield single(self._family(protocol, "mem_bytes"), count * self._page)

    def _family(self, protocol: str, state: str) -> Family:
        family = self._families.get((protocol, state))
        if family is None:
            name, help_ = f"node_sockstat_{protocol}_{state}", f"Number of {protocol} sockets in state {state}."
            family = self._families[protocol, state] = gauge(name, help_)
        return family


SPEC = Spec("sockstat", SockstatCollector, "sockets by protocol and state")
