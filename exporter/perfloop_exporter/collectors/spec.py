"""The declaration of a collector: its name, its options and how to build it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors.go_patterns import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfloop_exporter.collectors.families import Collector
    from perfloop_exporter.collectors.host import Host


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of a collector, `--collector.NAME.OPTION`; a default of True or False makes it a switch.

    The values of an option with `repeats` are joined by newlines. `flag` is a further name of the flag, whole.
    """

    name: str
    default: str | bool
    help: str
    repeats: bool = False
    flag: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """The values of a collector's options: those given on the command line, else the defaults."""

    given: Mapping[str, str | bool]
    defaults: Mapping[str, str | bool]

    def text(self, name: str) -> str:
        """Return the value of an option that is not a switch."""
        return str(self.given.get(name, self.defaults[name]))

    def switch(self, name: str) -> bool:
        """Return whether a switch is on."""
        return bool(self.given.get(name, self.defaults[name]))


@dataclass(frozen=True, slots=True)
class Spec:
    """One collector: its name in flags and metrics, its factory, help text, options and default state."""

    name: str
    make: Callable[[Host, Options], Collector]
    help: str
    options: tuple[Option, ...] = ()
    default: bool = True

    def build(self, host: Host, given: Mapping[str, str | bool] | None = None) -> Collector:
        """Build the collector; options that are not given have their defaults.

        Raises:
            ConfigError: An option has an invalid value.
        """
        return self.make(host, Options(given or {}, {option.name: option.default for option in self.options}))


def pattern(collector: str, option: str, text: str) -> re.Pattern[str] | None:
    """Compile the regular expression of an option, in Go's syntax; None when it is empty.

    Raises:
        ConfigError: It is not a valid regular expression.
    """
    if not text:
        return None
    try:
        return re.compile(translate(text))
    except re.error as error:
        raise ConfigError(f"--collector.{collector}.{option}: '{text}' is not a regular expression: {error}") from error


@dataclass(frozen=True, slots=True)
class Filter:
    """Which devices, mounts or sensors a collector exports."""

    exclude: re.Pattern[str] | None = None
    include: re.Pattern[str] | None = None

    def skips(self, name: str) -> bool:
        """Return whether the name is excluded, or not included."""
        if self.exclude is not None and self.exclude.search(name):
            return True
        return self.include is not None and not self.include.search(name)


def build_filter(collector: str, what: str, options: Options) -> Filter:
    """Build the filter of the options WHAT-exclude and WHAT-include, with node_exporter's semantics.

    An include replaces the default exclude.

    Raises:
        ConfigError: Both were given, or one is not a valid regular expression.
    """
    exclude, include = options.text(f"{what}-exclude"), options.text(f"{what}-include")
    # Only an exclude that was given conflicts; the default one is replaced.
    if include and options.given.get(f"{what}-exclude"):
        raise ConfigError(
            f"--collector.{collector}.{what}-exclude and --collector.{collector}.{what}-include are mutually exclusive"
        )
    return Filter(
        exclude=None if include else pattern(collector, f"{what}-exclude", exclude),
        include=pattern(collector, f"{what}-include", include),
    )


def filter_options(what: str, noun: str, default: str = "") -> tuple[Option, Option]:
    """Declare the pair of options that build_filter reads."""
    return (
        Option(f"{what}-exclude", default, f"regular expression of {noun} to leave out"),
        Option(f"{what}-include", "", f"regular expression of {noun} to export; all others are left out"),
    )
