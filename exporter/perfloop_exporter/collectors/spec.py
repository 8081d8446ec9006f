"""How a collector presents itself to the command line: its name, its options and how to build it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_exporter.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfloop_exporter.collectors.families import Collector
    from perfloop_exporter.collectors.host import Host


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of a collector: `--collector.NAME.OPTION`; a default of True or False makes it a switch.

    The values of one that repeats are joined by newlines.
    """

    name: str
    default: str | bool
    help: str
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """A collector's options: what was given on the command line, and the defaults of the rest."""

    given: Mapping[str, str | bool]
    defaults: Mapping[str, str | bool]

    def text(self, name: str) -> str:
        """The value of an option that takes one."""
        return str(self.given.get(name, self.defaults[name]))

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return bool(self.given.get(name, self.defaults[name]))


@dataclass(frozen=True, slots=True)
class Spec:
    """A collector that the exporter has."""

    name: str
    make: Callable[[Host, Options], Collector]
    help: str
    options: tuple[Option, ...] = ()
    default: bool = True

    def build(self, host: Host, given: Mapping[str, str | bool] | None = None) -> Collector:
        """The collector, with the options given and the defaults of the others."""
        return self.make(host, Options(given or {}, {option.name: option.default for option in self.options}))


def pattern(collector: str, option: str, text: str) -> re.Pattern[str] | None:
    """The compiled regular expression of an option; None when it is empty."""
    if not text:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(
            [f"--collector.{collector}.{option}: '{text}' is not a regular expression: {error}"]
        ) from error


@dataclass(frozen=True, slots=True)
class Filter:
    """Which devices, mounts or sensors a collector tells about."""

    exclude: re.Pattern[str] | None = None
    include: re.Pattern[str] | None = None

    def skips(self, name: str) -> bool:
        """Whether this one is left out."""
        if self.exclude is not None and self.exclude.search(name):
            return True
        return self.include is not None and not self.include.search(name)


def build_filter(collector: str, what: str, options: Options) -> Filter:
    """The filter of the options WHAT-exclude and WHAT-include, as node_exporter reads the pair.

    An include takes the place of the default exclude; beside an exclude that was given it is an error.
    """
    exclude, include = options.text(f"{what}-exclude"), options.text(f"{what}-include")
    if include and options.given.get(f"{what}-exclude"):
        raise UsageError(
            [f"--collector.{collector}.{what}-exclude and --collector.{collector}.{what}-include exclude each other"]
        )
    return Filter(
        exclude=None if include else pattern(collector, f"{what}-exclude", exclude),
        include=pattern(collector, f"{what}-include", include),
    )


def filter_options(what: str, noun: str, default: str = "") -> tuple[Option, Option]:
    """The pair of options that build_filter reads."""
    return (
        Option(f"{what}-exclude", default, f"regular expression of {noun} to leave out"),
        Option(f"{what}-include", "", f"regular expression of {noun} to tell about, and no other"),
    )
