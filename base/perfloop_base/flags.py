"""Settings that are declared once: a dataclass whose fields know their flag.

    @dataclass(frozen=True, slots=True)
    class Query:
        timeout: float = flag("--query.timeout", 10.0, parse=parse_positive_duration, help="...", metavar="DURATION")
        points: int = flag("--query.points", 240, minimum=16, help="points per series")

`add_flags(parser, Query)` describes them to argparse and `read_flags(Query, parser.parse_args())` returns the instance.
A value without `parse` is read as what its default is: a bool, an int, a float or a str. Annotations are not read.
"""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from perfloop_base.durations import format_duration, parse_duration, parse_positive_duration
from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

T = TypeVar("T")
_AUTO = "auto"
_NOUNS = {int: "whole number", float: "number"}
_DURATIONS = (parse_duration, parse_positive_duration)


class Rules(TypedDict, total=False):
    """What a flag may say about itself besides its name and default."""

    help: str
    metavar: str
    parse: Callable[[str], Any]  # text -> value; a ValueError is one sentence with the value and the rule
    choices: Sequence[str]
    minimum: float
    repeat: bool  # the flag may be given several times; the value is a tuple
    auto: bool  # `auto` is allowed, and is None
    alone: str  # the text that a flag without a value stands for


@dataclass(frozen=True, slots=True)
class _Flag:
    name: str
    default: Any
    rules: Rules

    @property
    def dest(self) -> str:
        return self.name.removeprefix("--")

    def read(self, text: str) -> Any:
        """Return the value of one text; a ValueError says what is wrong with it."""
        if self.rules.get("auto") and text == _AUTO:
            return None
        choices = self.rules.get("choices")
        if choices is not None and text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        value = self._parse(text)
        minimum = self.rules.get("minimum")
        if minimum is not None and not value >= minimum:
            raise ValueError(f"{text!r} is too small: the minimum is {minimum}")
        return value

    def _parse(self, text: str) -> Any:
        if "parse" in self.rules:
            return self.rules["parse"](text)
        kind = type(self.default)
        if kind not in _NOUNS:
            return text
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a {_NOUNS[kind]}") from None

    def metavar(self) -> str:
        """Return the placeholder for the value in the help."""
        if "choices" in self.rules:
            return "{" + ",".join(self.rules["choices"]) + "}"
        parse = self.rules.get("parse")
        noun = "FILE" if parse is Path else "DURATION" if parse in _DURATIONS else "TEXT"
        return self.rules.get("metavar", "NUMBER" if type(self.default) in _NOUNS and parse is None else noun)

    def shown_default(self) -> str:
        """Return the default as a user would write it, or nothing where there is none."""
        if self.default is None:
            return _AUTO if self.rules.get("auto") else ""
        if self.rules.get("repeat"):
            return ", ".join(map(str, self.default))
        if self.rules.get("parse") in _DURATIONS:
            return format_duration(self.default)
        return "" if self.default is MISSING or self.default == () else str(self.default)


def flag(name: str, default: Any = MISSING, **rules: Unpack[Rules]) -> Any:
    """Return a dataclass field that is set by a flag; one without a default is required."""
    return field(default=default, metadata={"flag": _Flag(name, default, rules)})


def section(kind: type[T], title: str = "") -> T:
    """Return a dataclass field that holds another dataclass of flags, shown under a title of its own in the help."""
    made: T = field(default_factory=kind, metadata={"section": (kind, title)})
    return made


def add_flags(parser: argparse.ArgumentParser, kind: type, title: str = "") -> None:
    """Add the flags of a dataclass to a parser, which then checks them together with everything else it parses."""
    parser.set_defaults(flag_classes=(*(parser.get_default("flag_classes") or ()), kind))
    _describe(parser, kind, title)


def _describe(parser: argparse.ArgumentParser, kind: type, title: str) -> None:
    place = parser.add_argument_group(title) if title else parser
    for item in fields(kind):
        if "section" in item.metadata:
            _describe(parser, *item.metadata["section"])
        elif "flag" in item.metadata:
            _add(place, item.metadata["flag"])


def _add(place: argparse._ActionsContainer, one: _Flag) -> None:
    text, shown = one.rules.get("help", ""), one.shown_default()
    if isinstance(one.default, bool):
        action = argparse.BooleanOptionalAction if one.default else "store_true"
        place.add_argument(one.name, dest=one.dest, action=action, default=None, help=text.replace("%", "%%"))
        return
    if "alone" in one.rules:
        place.add_argument(
            one.name, dest=one.dest, nargs="?", const=one.rules["alone"], metavar=one.metavar(), help=text
        )
        return
    required = one.default is MISSING
    note = "(required)" if required else f"(default: {shown})" if shown else ""
    place.add_argument(
        one.name,
        dest=one.dest,
        action="append" if one.rules.get("repeat") else "store",
        metavar=one.metavar(),
        # argparse compares by identity, so a flag that is hidden from the help needs this very object.
        help=argparse.SUPPRESS if text == argparse.SUPPRESS else f"{text} {note}".strip().replace("%", "%%"),
    )


def read_flags(kind: type[T], arguments: argparse.Namespace) -> T:
    """Return the settings that the parsed flags ask for.

    Raises:
        ConfigError: flags break rules; every problem is listed.
    """
    problems: list[str] = []
    values = _values(kind, vars(arguments), problems)
    if problems:
        raise ConfigError(problems)
    made: T = _build(kind, values)
    return made


def _values(kind: type, given: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    values = {}
    for item in fields(kind):
        if "section" in item.metadata:
            values[item.name] = _values(item.metadata["section"][0], given, problems)
        elif "flag" in item.metadata:
            one: _Flag = item.metadata["flag"]
            values[item.name] = _value(one, given.get(one.dest), problems)
    return values


def _build(kind: type, values: Mapping[str, Any]) -> Any:
    inner = {item.name: item.metadata["section"][0] for item in fields(kind) if "section" in item.metadata}
    return kind(**{name: _build(inner[name], value) if name in inner else value for name, value in values.items()})


def _value(one: _Flag, raw: Any, problems: list[str]) -> Any:
    if raw is None:
        if one.default is MISSING:
            problems.append(f"{one.name} is required")
        return one.default
    if isinstance(raw, bool):
        return raw
    values = []
    for text in raw if one.rules.get("repeat") else [raw]:
        try:
            values.append(one.read(text))
        except ValueError as error:
            problems.append(f"{one.name}: {error}")
    return tuple(values) if one.rules.get("repeat") else next(iter(values), None)
