"""Speeds, ports and abilities of network devices: bits of enum ethtool_link_mode_bit_indices of linux/ethtool.h.

Only the first 32, which ETHTOOL_GSET returns: faster devices have further modes.
"""

from __future__ import annotations

from typing import NamedTuple

AUTONEGOTIATION, PAUSE, ASYMMETRIC_PAUSE = 6, 13, 14
PORTS = {7: "TP", 8: "AUI", 9: "MII", 10: "FIBRE", 11: "BNC", 16: "Backplane"}
BYTES_PER_MEGABIT = 125_000


class Speed(NamedTuple):
    """One mode: megabits per second, `full` or `half`, and what it is sent over."""

    megabits: int
    duplex: str
    medium: str

    @property
    def bytes_per_second(self) -> int:
        """The speed in the unit of the metric."""
        return self.megabits * BYTES_PER_MEGABIT

    @property
    def mode(self) -> str:
        """The name of the mode in the standard, such as 1000baseT."""
        return f"{self.megabits}base{self.medium}"


SPEEDS = {
    0: Speed(10, "half", "T"),
    1: Speed(10, "full", "T"),
    2: Speed(100, "half", "T"),
    3: Speed(100, "full", "T"),
    4: Speed(1000, "half", "T"),
    5: Speed(1000, "full", "T"),
    12: Speed(10000, "full", "T"),
    15: Speed(2500, "full", "T"),  # the kernel calls it X, node_exporter T
    17: Speed(1000, "full", "KX"),
    18: Speed(10000, "full", "KX4"),
    19: Speed(10000, "full", "KR"),
    20: Speed(10000, "full", "R_FEC"),
    21: Speed(20000, "full", "MLD2"),
    22: Speed(20000, "full", "KR2"),
    23: Speed(40000, "full", "KR4"),
    24: Speed(40000, "full", "CR4"),
    25: Speed(40000, "full", "SR4"),
    26: Speed(40000, "full", "LR4"),
    27: Speed(56000, "full", "KR4"),
    28: Speed(56000, "full", "CR4"),
    29: Speed(56000, "full", "SR4"),
    30: Speed(56000, "full", "LR4"),
    31: Speed(25000, "full", "CR"),
}
