"""YAML that people write, read so that every problem names its file and line and all problems are reported together.

Not pydantic: the base install has none (the exporter reads thresholds.yml with it), and a parsed document has lost the
lines that a sentence about it must name. Here each mapping keeps the line of every key, and a list of `Field` says once
what a mapping may hold: the reader checks by it and `schemas.py` turns it into a JSON Schema for editors.
"""

from __future__ import annotations

import re
import reprlib
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import yaml

from perfloop_base.errors import ConfigError
from perfloop_base.visible import brief, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# libyaml reads a file ten times faster than PyYAML's own parser; not every build of PyYAML has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
# Prometheus's own grammar: whole numbers, the largest unit first, each unit once.
DURATION_PATTERN = r"0|(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?"
METRIC_PATTERN = "[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL_PATTERN = "[a-zA-Z_][a-zA-Z0-9_]*"
MONEY_PATTERN = r"\d{1,9}(\.\d+)? [A-Z]{3}"
MOMENT_PATTERN = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?"
_DURATION, _METRIC, _LABEL, _MONEY, _MOMENT = (
    re.compile(pattern, re.ASCII)
    for pattern in (DURATION_PATTERN, METRIC_PATTERN, LABEL_PATTERN, MONEY_PATTERN, MOMENT_PATTERN)
)
MOST_MONEY = 1e9  # beyond it a price is a slip of the keyboard, and sums lose their cents

# What YAML's readers raise, beside their own errors, for values that their tags do not fit: `!!timestamp x`.
_BROKEN = (yaml.YAMLError, ValueError, RecursionError, AttributeError, LookupError, TypeError, OverflowError)
_DEEPEST = 50

_MOST_SUGGESTED = 24  # every field of a signal

FieldKind = Literal["text", "number", "duration", "choice", "metric", "labels", "mapping", "money", "moment"]


class Money(NamedTuple):
    """An amount, and its currency where it is written with one."""

    amount: float
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a mapping: what it is for, and which values it takes.

    Attributes:
        kind: text (not empty), number (0 or more), duration (Prometheus's grammar, kept as text), choice (one of
            `choices`), metric (the name of a series), labels (a list of label names), mapping (an Entry), money (a
            Money of 0 or more) or moment (a date, as Unix seconds; without a time zone it is in UTC).
        default: the value where the field is missing and not required; None where nothing is meant.
    """

    name: str
    about: str
    kind: FieldKind = "text"
    choices: tuple[str, ...] = ()
    required: bool = True
    default: Any = None


class _Brief(reprlib.Repr):
    """Shows the first values of nested ones; in full, aliases of aliases would be millions ("billion laughs")."""

    def repr_Entry(self, entry: Entry, level: int) -> str:  # noqa: N802 # reprlib asks by the name of the class
        return self.repr_dict(entry, level)

    def repr_Items(self, items: Items, level: int) -> str:  # noqa: N802
        return self.repr_list(items, level)


class Items(list[Any]):
    """A list of a hand-written file."""

    def __repr__(self) -> str:
        return _Brief().repr(self)

    __str__ = __repr__


class Entry(dict[str, Any]):
    """A mapping of a hand-written file; its problems go to the list that all mappings of the file share."""

    def __init__(self, file: str, line: int, problems: list[str]) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self.lines: dict[str, int] = {}
        self.problems = problems

    def __repr__(self) -> str:
        return _Brief().repr(self)

    __str__ = __repr__

    def report(self, sentence: str, key: str | None = None) -> None:
        """Add a problem at the line of `key`, or of the whole mapping."""
        self.problems.append(f"{self.file}:{self.lines.get(key or '', self.line)}: {sentence}")

    def allow(self, allowed: Iterable[str], what: str) -> None:
        """Report every key that is not allowed, with the one that was probably meant."""
        known = sorted(allowed)
        for key in self:
            if key not in known:
                self.report(f"{what}: unknown field {brief(key)}; {suggest(key, known)}", key)

    def title(self, kind: str, key: str) -> str:
        """Return what problems call the mapping: its kind and, where it has one, its name under `key`."""
        name = self.get(key)
        return (
            f"{kind} {name if isinstance(name, str) else brief(name)}" if name else f"this {kind.removesuffix(' of')}"
        )

    def read(self, fields: Sequence[Field], what: str) -> dict[str, Any]:
        """Check every field and return the values by name, defaults included; `what` names the mapping in problems."""
        self.allow((field.name for field in fields), what)
        missing = [field.name for field in fields if field.required and self.get(field.name) is None]
        if missing:
            self.report(f"{what} has no {', '.join(missing)}.")
        return {field.name: self._value(field, what) for field in fields}

    def mappings(self, key: str) -> list[Entry]:
        """Return the list of mappings under `key`; report anything else."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.report(f"{key} must be a list.", key)
            return []
        for item in value:
            if not isinstance(item, Entry):
                self.report(f"{key} holds {brief(item)}; every item must be a mapping of names to values.", key)
        return [item for item in value if isinstance(item, Entry)]

    def _value(self, field: Field, what: str) -> Any:
        value = self.get(field.name)
        if value is None:
            return field.default
        rule = _broken_rule(field, value)
        if rule:
            self.report(f"{what}: {field.name} has the value {brief(value)}; it must be {rule}.", field.name)
            return field.default
        convert = _CONVERTED.get(field.kind)
        return convert(value) if convert else value


def suggest(unknown: str, known: Sequence[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, else the known ones."""
    near = get_close_matches(unknown, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(known[:_MOST_SUGGESTED]) + (", …" if len(known) > _MOST_SUGGESTED else "")
    return f"known are {shown or 'none'}."


def is_duration(text: object) -> bool:
    """Return whether a value is a duration as Prometheus writes it, such as 30s, 5m or 1h30m."""
    return isinstance(text, str) and _DURATION.fullmatch(text) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max


def _are_labels(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_LABEL.fullmatch(str(one)) for one in value)


def _is_money(value: Any) -> bool:
    if isinstance(value, str):
        return _MONEY.fullmatch(value) is not None
    return _is_number(value) and value <= MOST_MONEY


def _read_money(value: Any) -> Money:
    amount, _, currency = str(value).partition(" ")
    return Money(float(amount), currency)


def _is_moment(value: Any) -> bool:
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        return False
    try:
        return isinstance(value, str | date) and _read_moment(value) >= 0
    except (ValueError, OverflowError):
        return False


def _read_moment(value: str | date) -> float:
    """Return Unix seconds; YAML makes a date or a datetime of what is written without quotes."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


# For each kind but choice: what it accepts, and the rule for the sentence about anything else.
_RULES: dict[FieldKind, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda value: isinstance(value, str) and bool(value.strip()), "a text"),
    "number": (_is_number, "a number, 0 or more"),
    "duration": (is_duration, "a duration such as 30s, 5m or 1h"),
    "metric": (
        lambda value: isinstance(value, str) and _METRIC.fullmatch(value) is not None,
        "the name of a series",
    ),
    "labels": (_are_labels, "a list of label names"),
    "mapping": (lambda value: isinstance(value, Entry), "a mapping of names to values"),
    "money": (_is_money, f"an amount from 0 to {MOST_MONEY:,.0f}, such as 0.05 or 0.05 EUR"),
    "moment": (_is_moment, "a date such as 2026-07-01 or 2026-07-01T12:00:00Z"),
}
_CONVERTED: dict[FieldKind, Callable[[Any], Any]] = {
    "number": float,
    "labels": tuple,
    "money": _read_money,
    "moment": _read_moment,
}


def _broken_rule(field: Field, value: Any) -> str:
    """Return the rule that a value breaks, or nothing."""
    if field.kind == "choice":
        return "" if value in field.choices else f"one of {', '.join(field.choices)}"
    accepts, rule = _RULES[field.kind]
    return "" if accepts(value) else rule


class _Converter:
    """Turns YAML nodes into values; a node that an alias repeats is converted once."""

    def __init__(self, loader: Any, file: str, problems: list[str]) -> None:
        self._loader = loader
        self._file = file
        self._problems = problems
        self._done: dict[yaml.Node, Any] = {}

    def convert(self, node: yaml.Node) -> Any:
        if node not in self._done:
            self._done[node] = None  # an alias inside of what it names: valid YAML, but never meant
            self._done[node] = self._convert(node)
        return self._done[node]

    def _convert(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return Items(self.convert(item) for item in node.value)
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode) -> Entry:
        entry = Entry(self._file, node.start_mark.line + 1, self._problems)
        own = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in own and key_node.tag != _MERGE:
                line = key_node.start_mark.line + 1
                self._problems.append(f"{self._file}:{line}: the key {brief(key)} is defined twice in one mapping.")
            own.add(key)
        for merged in self._merged(node):  # they come first, so that the mapping's own keys win
            entry.lines.update(merged.lines)
            entry.update(merged)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            scalar = isinstance(key_node, yaml.ScalarNode)
            key = str(self._loader.construct_object(key_node)) if scalar else brief(self.convert(key_node))
            entry.lines[key] = key_node.start_mark.line + 1
            entry[key] = self.convert(value_node)
        return entry

    def _merged(self, node: yaml.MappingNode) -> Iterator[Entry]:
        """Yield what `<<` merges in, the first of a list last: it wins.

        Not by PyYAML's flatten_mapping, which copies the pairs of merges of merges again and again.
        """
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            sources = reversed(value_node.value) if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for source in sources:
                found = self.convert(source)
                if isinstance(found, Entry):
                    yield found
                elif found is not None or not isinstance(source, yaml.MappingNode):
                    raise yaml.constructor.ConstructorError(
                        None, None, "only mappings can be merged by <<", source.start_mark
                    )


def _check_depth(text: str, file: str) -> None:
    """Refuse a document that is nested so deeply that it would end the process: libyaml's reader is recursive.

    Raises:
        ConfigError: one sentence with the line.
    """
    depth = 0
    try:
        for event in yaml.parse(text, _LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ConfigError(f"{file}:{line}: a file has at most {_DEEPEST} levels.")
    except _BROKEN as error:
        raise _broken(error, text, file) from error


def _broken(error: Exception, text: str, file: str) -> ConfigError:
    """Return the sentence about a text that is not YAML."""
    if isinstance(error, yaml.MarkedYAMLError):
        line = min(error.problem_mark.line, text.rstrip().count("\n")) + 1 if error.problem_mark else 1
        return ConfigError(f"{file}:{line}: not valid YAML: {error.problem}.")
    # A character that YAML forbids has a position, but no line.
    line = text.encode(errors="replace")[: getattr(error, "position", 0)].count(b"\n") + 1
    return ConfigError(f"{file}:{line}: not valid YAML: {visible(' '.join(str(error).split()))}.")


def parse_located(text: str, file: str, problems: list[str]) -> Entry:
    """Parse a YAML mapping, known in problems as `file`.

    Raises:
        ConfigError: the text is not YAML, or not a mapping; one sentence with the line.
    """
    _check_depth(text, file)
    try:
        loader: Any = _LOADER(text)
        try:
            node = loader.get_single_node()
            converted = None if node is None else _Converter(loader, file, problems).convert(node)
        finally:
            loader.dispose()
    except _BROKEN as error:
        raise _broken(error, text, file) from error
    if not isinstance(converted, Entry):
        raise ConfigError(f"{file}:1: the file must be a mapping of names to values.")
    return converted


def read_located(path: Path, problems: list[str], shown_as: str | None = None) -> Entry:
    """Read a hand-written YAML file, known in problems as `shown_as`, else by its path from the current directory.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or not a mapping.
    """
    shown = shown_as or show_path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: cannot be read: it is not UTF-8 text.") from error
    return parse_located(text, shown, problems)


def show_path(path: Path) -> str:
    """Return a path as messages show it: from the current directory where it lies below it, else in full."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
