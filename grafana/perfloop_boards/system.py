"""The system board: for each resource of the chosen hosts how much is used, what waits for it, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.host import container, cpu, disk, glance, hardware, memory, network, scrape, sockets

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits


def build(limits: Limits) -> Board:
    """The system board of a configuration."""
    signals = {
        "cpu_used_ratio": cpu.modes(),
        "memory_used_ratio": memory.parts(),
        "disk_io_bytes_per_second": disk.throughput(limits),
        "network_io_bytes_per_second": network.throughput(limits),
    }
    cpu_modes, memory_parts, disk_bytes, network_bytes = signals.values()
    return Board(
        uid="system",
        title="System",
        question="Is a resource full, does work wait for it, and did anything fail?",
        related=("overview", "fleet", "llm", "stack"),
        variables=(choice("instance", "Host", "node_boot_time_seconds"),),
        signals=signals,
        rows=(
            glance.utilization(limits),
            glance.inventory(),
            Row(7, evenly(cpu_modes, cpu.waiting(limits))),
            Row(7, evenly(memory_parts, memory.waiting(limits), memory.killed())),
            Row(7, evenly(disk_bytes, disk.busy(limits), disk.waiting(limits))),
            Row(7, evenly(network_bytes, network.faults(), disk.usage(limits))),
            cpu.details(),
            memory.details(),
            disk.details(),
            disk.filesystems(limits),
            network.details(),
            sockets.details(),
            container.details(limits),
            hardware.details(),
            scrape.details(limits),
        ),
    )
