"""The exporter's own errors; wrong settings and taken addresses are ConfigError and ListenError of perfloop_base.

PerfloopError
└── ExporterError
    ├── BadRequestError  (web/messages.py) bytes that are not a request that is supported
    └── CollectorError   a collector's subject could not be read, or is malformed
        └── NoDataError  this machine does not have the subject at all
"""

from __future__ import annotations

from perfloop_base.errors import PerfloopError


class ExporterError(PerfloopError):
    """The base class of the errors that only the exporter raises."""


class CollectorError(ExporterError):
    """A collector has no metrics for this scrape."""


class NoDataError(CollectorError):
    """The machine does not have what the collector reads: logged at level debug, since nothing is wrong."""
