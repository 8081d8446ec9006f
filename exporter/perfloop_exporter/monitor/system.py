"""The machine's state as one dictionary, through psutil."""

from __future__ import annotations

import threading
import time
from typing import Any

import psutil

# Below this, CPU percentages are meaningless: https://psutil.readthedocs.io/en/latest/#psutil.cpu_percent
_SHORTEST_SECONDS = 0.1
_RATES = ("disk_read_bytes", "disk_write_bytes", "network_sent_bytes", "network_received_bytes")


class SystemReader:
    """Reads the machine's state; percentages and rates are over the time since the call before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = time.monotonic()
        self._cpu = psutil.cpu_times()
        self._counters = _read_counters()
        self._derived: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """Return CPU, memory, swap, disk, network and load.

        Returns:
            Values by name: `_percent` is 0 to 100, `_bytes` of disk and network count since boot, `_per_second` and
            cpu_percent are over the time since the call before, which is at least 0.1 s.
        """
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        load1, load5, load15 = psutil.getloadavg()
        counters = _read_counters()
        return {
            **self._rates(counters),
            "cpu_count": float(psutil.cpu_count() or 1),
            "load1": load1,
            "load5": load5,
            "load15": load15,
            "memory_percent": memory.percent,
            "memory_used_bytes": float(memory.used),
            "memory_available_bytes": float(memory.available),
            "memory_total_bytes": float(memory.total),
            "swap_percent": swap.percent,
            "disk_percent": psutil.disk_usage("/").percent,
            **counters,
            "process_count": float(len(psutil.pids())),
            "uptime_seconds": time.time() - psutil.boot_time(),
        }

    def _rates(self, counters: dict[str, float]) -> dict[str, float]:
        with self._lock:
            now, cpu = time.monotonic(), psutil.cpu_times()
            seconds = now - self._at
            if seconds >= _SHORTEST_SECONDS or not self._derived:
                rates = {f"{name}_per_second": (counters[name] - self._counters[name]) / seconds for name in _RATES}
                self._derived = {"cpu_percent": _busy_percent(self._cpu, cpu), **rates}
                self._at, self._cpu, self._counters = now, cpu, counters
            return dict(self._derived)


def _read_counters() -> dict[str, float]:
    disk: Any = psutil.disk_io_counters()
    network: Any = psutil.net_io_counters()
    return {
        "disk_read_bytes": float(disk.read_bytes) if disk else 0.0,
        "disk_write_bytes": float(disk.write_bytes) if disk else 0.0,
        "network_sent_bytes": float(network.bytes_sent) if network else 0.0,
        "network_received_bytes": float(network.bytes_recv) if network else 0.0,
    }


def _busy_percent(before: Any, after: Any) -> float:
    # Linux counts guest time in user time as well, so it is subtracted once.
    spent = (
        sum(after) - sum(before) - sum(_field(after, name) - _field(before, name) for name in ("guest", "guest_nice"))
    )
    idle = sum(_field(after, name) - _field(before, name) for name in ("idle", "iowait"))
    return min(max(100.0 * (1.0 - idle / spent), 0.0), 100.0) if spent > 0 else 0.0


def _field(times: Any, name: str) -> float:
    return float(getattr(times, name, 0.0))
