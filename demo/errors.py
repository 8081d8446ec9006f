"""What can go wrong when a demo program starts, and the exit codes that say so.

DemoError
├── UsageError       a flag, an environment variable or a request has a value that breaks a rule
├── AddressInUse     another program holds the port
└── StartFailed      something the program needs (a database, a cache, a folder) did not answer
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a demo program ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ADDRESS_IN_USE = 3


class DemoError(Exception):
    """One sentence for a person, and the exit code for a script."""

    exit_code = ExitCode.FAILED


class UsageError(DemoError):
    """A value breaks a rule; the sentence names the thing, the value and the rule."""

    exit_code = ExitCode.USAGE


class AddressInUse(DemoError):  # noqa: N818 - the name says what is the matter
    """Another program listens on the wanted port."""

    exit_code = ExitCode.ADDRESS_IN_USE


class StartFailed(DemoError):  # noqa: N818 - the name says what is the matter
    """Something the program needs did not answer."""
