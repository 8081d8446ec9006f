"""The machine's state in one dictionary, read through psutil."""

from __future__ import annotations

import os
from typing import Any

import psutil


def read_system_stats() -> dict[str, float]:
    """CPU, memory, swap, disk and network now; `_bytes` of disk and network count since boot."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    disk: Any = psutil.disk_io_counters()
    network: Any = psutil.net_io_counters()
    return {
        "cpu_percent": psutil.cpu_percent(interval=None),
        "cpu_count": float(psutil.cpu_count() or 1),
        "load1": os.getloadavg()[0],
        "memory_percent": memory.percent,
        "memory_used_bytes": float(memory.used),
        "memory_available_bytes": float(memory.available),
        "memory_total_bytes": float(memory.total),
        "swap_percent": swap.percent,
        "disk_percent": psutil.disk_usage("/").percent,
        "disk_read_bytes": float(disk.read_bytes) if disk else 0.0,
        "disk_write_bytes": float(disk.write_bytes) if disk else 0.0,
        "network_sent_bytes": float(network.bytes_sent) if network else 0.0,
        "network_received_bytes": float(network.bytes_recv) if network else 0.0,
    }
