"""YAML whose mappings remember the line of every key, so that a problem can name file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from perfloop_rules.errors import RulebookError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Number = int | float


class Entry(dict[str, Any]):
    """A mapping of a hand-written file; `problems` collects what is wrong with it."""

    def __init__(self, file: str, line: int, problems: list[str]) -> None:
        super().__init__()
        self.file = file
        self.line = line
        self.lines: dict[str, int] = {}
        self.problems = problems

    def complain(self, sentence: str, key: str | None = None) -> None:
        """Note a problem at the line of `key`, or of the whole mapping."""
        self.problems.append(f"{self.file}:{self.lines.get(key or '', self.line)}: {sentence}")

    def only(self, allowed: Iterable[str], what: str) -> None:
        """Complain of every key that is not allowed."""
        known = sorted(allowed)
        for key in self:
            if key not in known:
                self.complain(f"{what}: unknown field {key!r}; it takes {', '.join(known)}.", key)

    def text(self, key: str, what: str, default: str | None = None) -> str:
        """Return a non-empty string, or complain."""
        value = self.get(key, default)
        if not isinstance(value, str) or not value.strip():
            self.complain(f"{what}: {key} has the value {value!r}; it must be a text.", key)
            return ""
        return value

    def choice(self, key: str, what: str, allowed: tuple[str, ...]) -> str:
        """Return one of the allowed words, or complain."""
        value = self.get(key)
        if value not in allowed:
            self.complain(f"{what}: {key} has the value {value!r}; it must be one of {', '.join(allowed)}.", key)
        return str(value)

    def number(self, key: str, what: str) -> float | None:
        """Return a number that is not negative, None where the key is missing, or complain."""
        if key not in self:
            return None
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            self.complain(f"{what}: {key} has the value {value!r}; it must be a number, 0 or more.", key)
            return None
        return float(value)

    def duration(self, key: str, what: str, default: str) -> str:
        """Return a duration such as 30s or 5m, or complain."""
        value = self.get(key, default)
        number = str(value)[:-1]
        if not isinstance(value, str) or value[-1:] not in "smhd" or not number.isdigit():
            self.complain(f"{what}: {key} has the value {value!r}; it must be a duration such as 30s, 5m or 1h.", key)
            return default
        return value


def _convert(node: yaml.Node, file: str, loader: yaml.SafeLoader, problems: list[str]) -> Any:
    if isinstance(node, yaml.MappingNode):
        entry = Entry(file, node.start_mark.line + 1, problems)
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node))
            if key in entry:
                entry.complain(f"the key {key!r} stands here twice; the second would silently win.")
            entry.lines[key] = key_node.start_mark.line + 1
            entry[key] = _convert(value_node, file, loader, problems)
        return entry
    if isinstance(node, yaml.SequenceNode):
        return [_convert(item, file, loader, problems) for item in node.value]
    return loader.construct_object(node)


def parse_located(text: str, file: str, problems: list[str]) -> Entry:
    """Parse a YAML mapping; a syntax error is raised with its line."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        converted = _convert(node, file, loader, problems) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RulebookError([f"{file}:{line}: not valid YAML: {error.problem}."]) from error
    finally:
        loader.dispose()
    if not isinstance(converted, Entry):
        raise RulebookError([f"{file}:1: the file must be a mapping of names to values."])
    return converted


def read_located(path: Path, shown_as: str, problems: list[str]) -> Entry:
    """Read a hand-written file, known in messages as `shown_as`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RulebookError([f"{shown_as}: cannot be read: {error.strerror}."]) from error
    return parse_located(text, shown_as, problems)


def entries(parent: Entry, key: str) -> list[Entry]:
    """Return the list of mappings under `key`; complain of anything else."""
    value = parent.get(key) or []
    if not isinstance(value, list):
        parent.complain(f"{key} must be a list.", key)
        return []
    for item in value:
        if not isinstance(item, Entry):
            parent.complain(f"{key} holds {item!r}; every item must be a mapping of names to values.", key)
    return [item for item in value if isinstance(item, Entry)]
