"""The limits that alerts, analyzer and dashboards share: thresholds.yml, read anew when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, Sample, gauge
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.config import DEFAULT_THRESHOLDS
from perfloop_exporter.errors import NoDataError
from perfloop_exporter.thresholds import Threshold, parse_thresholds

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

THRESHOLD = gauge("perfloop_threshold", "The limit of a signal.", "signal", "severity")
OVERRIDE = gauge(
    "perfloop_threshold_override",
    "The limit of a signal for one service or route.",
    *("signal", "severity", "service", "route"),
)


class ThresholdsCollector:
    """Tells each signal's warning, critical and goal."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._file = Path(options.text("file"))
        self._stamp: tuple[int, int, int] | None = None
        self._readings: list[Reading] = []

    def collect(self) -> list[Reading]:
        """The limits of the file as it is now."""
        try:
            status = self._file.stat()
        except OSError as error:
            raise NoDataError(f"{self._file}: {error.strerror}") from error
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._readings = _readings(parse_thresholds(self._host.read(str(self._file)), str(self._file)))
            self._stamp = stamp
        return self._readings


def _readings(limits: list[Threshold]) -> list[Reading]:
    common: list[Sample] = []
    special: list[Sample] = []
    for limit in limits:
        if limit.service or limit.route:
            special.append(((limit.signal, limit.severity, limit.service, limit.route), limit.value))
        else:
            common.append(((limit.signal, limit.severity), limit.value))
    return [(THRESHOLD, common), (OVERRIDE, special)]


SPEC = Spec(
    "thresholds",
    ThresholdsCollector,
    "the limits that alerts and dashboards share",
    (Option("file", DEFAULT_THRESHOLDS, "the file with the limits"),),
)
