"""Memory leak: the process really grows, up to a cap."""

from __future__ import annotations

from threading import Event, Thread

from perfloop_demo.service.faults.rules import Rule

MIB = 1024 * 1024
# Enough to be seen, too little to exhaust a small machine.
CAP_MIB = 512
# Several steps between two scrapes look like steady growth.
_STEP_SECONDS = 0.25


class MemoryLeak:
    """Allocates more and more memory; switching the fault off frees it."""

    rule = Rule(
        "memory_leak",
        "Memory leak",
        "number",
        "MiB per second",
        100,
        f"The service's memory grows at this rate, up to {CAP_MIB} MiB.",
    )

    def __init__(self, cap_mib: int = CAP_MIB) -> None:
        self._cap_bytes = cap_mib * MIB
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._stop = Event()
        self._thread: Thread | None = None

    def apply(self, value: float) -> None:
        """Leak this many MiB per second from now on; 0 frees everything."""
        self._end()
        if value:
            self._stop = Event()
            self._thread = Thread(target=self._leak, args=(value, self._stop), name="memory-leak", daemon=True)
            self._thread.start()
        else:
            self._held.clear()
            self._held_bytes = 0

    def _end(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def _leak(self, mib_per_second: float, stop: Event) -> None:
        step = max(1, int(mib_per_second * MIB * _STEP_SECONDS))
        while self._held_bytes < self._cap_bytes and not stop.wait(_STEP_SECONDS):
            size = min(step, self._cap_bytes - self._held_bytes)
            self._held.append(b"\x01" * size)  # not zeros: pages that are never written cost no memory
            self._held_bytes += size
