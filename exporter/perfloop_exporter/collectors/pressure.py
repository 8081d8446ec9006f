"""Pressure stall information (PSI): /proc/pressure (kernel: Documentation/accounting/psi.rst)."""

from __future__ import annotations

from errno import EOPNOTSUPP
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, counter, single
from perfloop_exporter.collectors.host import lines_of, read_bytes, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

MICROSECONDS = 1_000_000


def _waiting(what: str, whom: str) -> Family:
    return counter(f"node_pressure_{what}_waiting_seconds_total", f"Seconds in which some task waited for {whom}.")


def _stalled(what: str, whom: str) -> Family:
    return counter(f"node_pressure_{what}_stalled_seconds_total", f"Seconds in which no task ran for want of {whom}.")


# The file and the families of its lines. The CPU is never fully stalled; interrupts (since Linux 6.1) have no `some`.
RESOURCES: tuple[tuple[str, dict[str, Family]], ...] = (
    ("cpu", {"some": _waiting("cpu", "a CPU")}),
    ("io", {"some": _waiting("io", "I/O"), "full": _stalled("io", "I/O")}),
    ("memory", {"some": _waiting("memory", "memory"), "full": _stalled("memory", "memory")}),
    ("irq", {"full": _stalled("irq", "a CPU that serves interrupts")}),
)


def parse_pressure(text: str, where: str, losses: Losses) -> dict[str, float]:
    """Parse a pressure file, lines of `KIND avg10=… avg60=… avg300=… total=MICROSECONDS`.

    Args:
        text: The file's content.
        where: The file's path, for the error.
        losses: Takes the lines that do not have this form.

    Returns:
        Stalled seconds since boot by kind, `some` and `full`.
    """
    totals = {}
    for line in lines_of(text):
        kind, _, rest = line.partition(" ")
        _, found, total = rest.rpartition(" total=")
        with losses:
            if kind not in {"some", "full"} or not found:
                raise CollectorError(f"{where}: '{line[:60]}' is not `some` or `full` with a total")
            totals[kind] = whole(total, where) / MICROSECONDS
    return totals


def read_pressure(path: str, losses: Losses) -> dict[str, float] | None:
    """Read the totals of a pressure file, in seconds.

    Returns:
        None where the kernel has no such file or was started with psi=0.

    Raises:
        CollectorError: The file cannot be read.
    """
    try:
        text = read_bytes(path).decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == EOPNOTSUPP:
            return None
        raise CollectorError(f"{path}: {error.strerror}") from error
    return parse_pressure(text, path, losses)


class PressureCollector:
    """Exports the stalled seconds by resource."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one counter per resource and kind of stall."""
        losses = Losses()
        readings: list[Reading] = []
        for resource, families in RESOURCES:
            with losses:
                totals = read_pressure(f"{self._host.proc}/pressure/{resource}", losses)
                if totals is None:
                    continue
                readings += [single(family, totals[kind]) for kind, family in families.items() if kind in totals]
                missing = families.keys() - totals.keys()
                if missing:
                    raise CollectorError(f"/proc/pressure/{resource} has no line {', '.join(sorted(missing))}")
        if not readings and not losses.count:
            raise NoDataError("no pressure data: it needs Linux 4.20 with CONFIG_PSI, on some distributions psi=1")
        return losses.settle(readings)


SPEC = Spec("pressure", PressureCollector, "pressure stall information (PSI) of CPU, memory and I/O")
