"""How long work stood still for want of CPU, memory or I/O (PSI): /proc/pressure."""

from __future__ import annotations

from errno import EOPNOTSUPP
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, counter, single
from perfloop_exporter.collectors.host import read_bytes, whole
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

MICROSECONDS = 1_000_000


def _waiting(what: str, whom: str) -> Family:
    return counter(f"node_pressure_{what}_waiting_seconds_total", f"Seconds in which some task waited for {whom}.")


def _stalled(what: str, whom: str) -> Family:
    return counter(f"node_pressure_{what}_stalled_seconds_total", f"Seconds in which no task ran for want of {whom}.")


# The file, and the family of its lines some and full; the CPU is never fully stalled, interrupts (6.1) have no some.
RESOURCES: tuple[tuple[str, dict[str, Family]], ...] = (
    ("cpu", {"some": _waiting("cpu", "a CPU")}),
    ("io", {"some": _waiting("io", "I/O"), "full": _stalled("io", "I/O")}),
    ("memory", {"some": _waiting("memory", "memory"), "full": _stalled("memory", "memory")}),
    ("irq", {"full": _stalled("irq", "a CPU that serves interrupts")}),
)


def parse_pressure(text: str, where: str) -> dict[str, float]:
    """The stalled seconds in all of the lines `some` and `full`."""
    totals = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        _, found, total = rest.rpartition(" total=")
        if kind not in {"some", "full"} or not found:
            raise CollectorError(f"{where}: '{line[:60]}' is not `some` or `full` with a total")
        totals[kind] = whole(total, where) / MICROSECONDS
    return totals


def read_pressure(path: str) -> dict[str, float] | None:
    """The totals of a pressure file; None where the kernel has none or keeps it off (psi=0)."""
    try:
        text = read_bytes(path).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == EOPNOTSUPP:
            return None
        raise CollectorError(f"{path}: {error.strerror}") from error
    return parse_pressure(text, path)


class PressureCollector:
    """Tells the seconds lost to each shortage."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """One counter per resource and kind of stall."""
        readings: list[Reading] = []
        for resource, families in RESOURCES:
            totals = read_pressure(f"{self._host.proc}/pressure/{resource}")
            if totals is None:
                continue
            missing = families.keys() - totals.keys()
            if missing:
                raise CollectorError(f"/proc/pressure/{resource} has no line {', '.join(sorted(missing))}")
            readings.extend(single(family, totals[kind]) for kind, family in families.items())
        if not readings:
            raise NoDataError("this kernel tells no pressure: it needs Linux 4.20 with CONFIG_PSI, and psi=1 on some")
        return readings


SPEC = Spec("pressure", PressureCollector, "time lost for want of CPU, memory or I/O (PSI)")
