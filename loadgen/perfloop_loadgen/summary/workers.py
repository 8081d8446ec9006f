"""The figures of each worker that sent a part of a load: which of them, if any, was the limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One worker of several.

    Attributes:
        number: which worker, from 1, of `of`.
        name: its address; empty of a process on the machine that runs the test.
        host: its machine.
        requests: how many ended.
        dropped: how many of its arrivals found no free connection in time.
        schedule_lag_p99_seconds: how far behind the schedule its requests started; None without requests.
        cpu_ratio: CPU used over the whole run, in cores.
        busiest_cpu_ratio: the same of its busiest second.
        event_loop_lag_p99_seconds: how late its event loop woke.
        network_ratio: the busiest second of its network cards, as a share of the speed that they have; 0 where that is
            not known.
        clock_offset_seconds: how far its clock is ahead of that of the machine that runs the test, as it was measured
            and taken into account; None of one on that machine.
        clock_error_seconds: how far that may be off: half of the shortest round trip.
        began_late_seconds: how long after the common moment it began.
        lost: why it did not come to the end; empty where it did.
    """

    number: int
    of: int
    name: str = ""
    host: str = ""
    requests: int = 0
    dropped: int = 0
    schedule_lag_p99_seconds: float | None = None
    cpu_ratio: float = 0.0
    busiest_cpu_ratio: float = 0.0
    event_loop_lag_p99_seconds: float = 0.0
    network_ratio: float = 0.0
    clock_offset_seconds: float | None = None
    clock_error_seconds: float = 0.0
    began_late_seconds: float = 0.0
    lost: str = ""

    @property
    def title(self) -> str:
        """Return the worker as sentences name it: `worker 2 of 4 (tcp://10.0.0.7:40123)`."""
        return title_of(self.number, self.of, self.name)


def title_of(number: int, of: int, name: str) -> str:
    """Return a worker as sentences name it."""
    return f"worker {number} of {of}{f' ({name})' if name else ''}"
