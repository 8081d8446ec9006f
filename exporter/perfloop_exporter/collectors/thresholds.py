"""The thresholds that alerts, analyzer and dashboards share: thresholds.yml, read again when it changes.

A file that becomes invalid does not take the series away: a dashboard without its limits, or `doctor` without a number
to compare, would be worse than the last valid values. They stay, and each invalid version of the file is logged once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.thresholds import parse_thresholds
from perfloop_exporter.collectors.families import Reading, Sample, gauge
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.config import DEFAULT_THRESHOLDS
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_base.thresholds import Thresholds
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

THRESHOLD = gauge("perfloop_threshold", "The limit of a signal.", "signal", "severity")
OVERRIDE = gauge(
    "perfloop_threshold_override",
    "The limit of a signal for one service or route.",
    *("signal", "severity", "service", "route"),
)

log = logging.getLogger(__name__)


class ThresholdsCollector:
    """Exports the limits of each signal and of its overrides, in the signal's base unit."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._file = Path(options.text("file"))
        self._stamp: tuple[int, ...] | None = None
        self._readings: list[Reading] | None = None
        self._problem = CollectorError("not read yet")

    def collect(self) -> list[Reading]:
        """Return the limits of the file as it is now, or the last valid ones while it is invalid or missing.

        Raises:
            NoDataError: The file has been missing since the start.
            CollectorError: The file has been invalid since the start.
        """
        stamp = _stamp(self._file)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read()
        if self._readings is None:
            raise self._problem.with_traceback(None)
        return self._readings

    def _read(self) -> None:
        try:
            found = parse_thresholds(self._host.read(str(self._file)), str(self._file))
        except CollectorError as error:
            self._problem = error
        except ConfigError as error:
            self._problem = CollectorError(" ".join(error.problems))
        else:
            if self._readings is not None:
                log.info("thresholds loaded", extra={"file": str(self._file)})
            self._readings = _build_readings(found)
            return
        if self._readings is not None:
            log.error("cannot load thresholds, keeping the last valid ones", extra={"err": str(self._problem)})


def _stamp(file: Path) -> tuple[int, ...]:
    """Return modification time in ns, size and inode; empty when the file is missing.

    The inode differs also when an editor writes another file and renames it to this name.
    """
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _build_readings(thresholds: Thresholds) -> list[Reading]:
    limits: list[Sample] = []
    for signal in thresholds.signals:
        limits += [((signal.name, severity), value) for severity, value in signal.limits.items()]
        if signal.goal is not None:
            limits.append(((signal.name, "goal"), signal.goal))
    overrides: list[Sample] = [
        ((override.signal, severity, override.service, override.route), value)
        for override in thresholds.overrides
        for severity, value in override.limits.items()
    ]
    return [(THRESHOLD, limits), (OVERRIDE, overrides)]


SPEC = Spec(
    "thresholds",
    ThresholdsCollector,
    "the limits that alerts and dashboards share",
    (Option("file", DEFAULT_THRESHOLDS, "thresholds.yml", flag="--thresholds.file"),),
)
