"""What can go wrong, and the exit code of each (`perfloop_base.errors` holds the table of codes).

PerfloopError
├── ConfigError          a test file, flag or imported document is wrong; carries every problem found
├── ListenError          the metrics address is taken or cannot be bound
├── TargetError          no request can be sent to the service under test (its host does not resolve)
├── QueryError           Prometheus or Grafana gave no usable answer
├── ReportError          a report could not be written
├── UnusableRunError     runs say nothing: the generator was the limit, or they do not compare with each other
└── SwitchError          a command that switches the service under test failed or hung, or the service did not come up
"""

from __future__ import annotations

from perfloop_base.errors import ExitCode, PerfloopError


class TargetError(PerfloopError):
    """An address that no request can be sent to."""

    exit_code = ExitCode.USAGE


class QueryError(PerfloopError):
    """Prometheus or Grafana gave no usable answer."""

    exit_code = ExitCode.SOURCE_UNAVAILABLE


class ReportError(PerfloopError):
    """A report could not be written to its file."""

    exit_code = ExitCode.NOT_WRITTEN


class UnusableRunError(PerfloopError):
    """Runs that were to be compared, or to show the noise, say nothing."""

    exit_code = ExitCode.INVALID


class SwitchError(PerfloopError):
    """The service under test could not be switched to the other build."""

    exit_code = ExitCode.INVALID
