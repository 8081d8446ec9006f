"""Reads the flags that node_exporter has and this exporter does not, or calls otherwise."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors.node_flags import COLLECTORS, FORMER, SWITCHES, VALUES

if TYPE_CHECKING:
    from collections.abc import Sequence

# node_exporter has such a form of every switch; these are off here anyway.
OFF = ("--no-web.systemd-socket", "--no-web.disable-exporter-metrics", "--no-collector.disable-defaults")
WITHOUT_EFFECT = "flags_without_effect"

log = logging.getLogger(__name__)


class _Ignore(argparse.Action):
    """Remembers that a flag was given."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        _values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        given: list[str] = getattr(namespace, WITHOUT_EFFECT, None) or []
        setattr(namespace, WITHOUT_EFFECT, [*given, option_string or ""])


def add_foreign_flags(parser: argparse.ArgumentParser) -> None:
    """Add node_exporter's flags that the parser does not have; the help does not show them."""
    known = {option for action in parser._actions for option in action.option_strings}  # noqa: SLF001  # no public way
    switches = [*(f"--collector.{name}" for name in COLLECTORS), *SWITCHES]
    for name in (*switches, *(f"--no-{name.removeprefix('--')}" for name in switches)):
        if name not in known:
            parser.add_argument(name, dest=WITHOUT_EFFECT, action=_Ignore, nargs=0, help=argparse.SUPPRESS)
    for name in VALUES:
        if name not in known:
            parser.add_argument(name, dest=WITHOUT_EFFECT, action=_Ignore, help=argparse.SUPPRESS)
    for name in OFF:
        dest = name.removeprefix("--no-")
        parser.add_argument(name, dest=dest, action="store_const", const=False, help=argparse.SUPPRESS)
    for name, (collector, option) in FORMER.items():
        if f"--collector.{collector}.{option}" in known:
            parser.add_argument(name, dest=name, help=argparse.SUPPRESS)


def log_foreign_flags(arguments: argparse.Namespace) -> None:
    """Log which of the flags have no effect here, in one line, and which have another name now."""
    given = list(dict.fromkeys(getattr(arguments, WITHOUT_EFFECT, None) or ()))
    if given:
        # Switching off what is not there is what was wanted.
        level = logging.INFO if all(name.startswith("--no-") for name in given) else logging.WARNING
        log.log(level, "flags of node_exporter that have no effect here", extra={"flags": " ".join(given)})
    for name, (collector, option) in FORMER.items():
        if getattr(arguments, name, None) is not None:
            log.warning("deprecated flag", extra={"flag": name, "now": f"--collector.{collector}.{option}"})


def rename(collector: str, given: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Move the values that were given under former names to the options of the collector.

    Raises:
        ConfigError: A value was given under both names.
    """
    for name, (owner, option) in FORMER.items():
        value = getattr(arguments, name, None)
        if owner != collector or not value:
            continue
        if given.get(option):
            raise ConfigError(f"{name} and --collector.{collector}.{option} are mutually exclusive")
        given[option] = value
