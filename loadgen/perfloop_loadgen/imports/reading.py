"""Documents of other programs: JSON, or YAML 1.2 as OpenAPI asks for it.

Not by the reader of the program's own files: there dates and `on` have types of their own (YAML 1.1), every key keeps
its line, and a document of ten megabytes would take a minute. Values are built straight from libyaml's events, without
recursion, so that no depth of nesting can end the process.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import yaml

from perfloop_loadgen.config.reading import check_size
from perfloop_loadgen.imports.found import ImportProblem

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 500
# Texts that begin otherwise are nothing but texts.
_TYPED = frozenset("0123456789+-.~nNtTfF<")
_INTEGER = re.compile(r"[-+]?[0-9]{1,4000}|0o[0-7]{1,4000}|0x[0-9a-fA-F]{1,3000}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TABS = re.compile(r"(?m)^[ \t]*\t[ \t]*")
_MERGE = "<<"


def parse_document(text: str) -> Any:
    """Return the value of a JSON or YAML document.

    Raises:
        ImportProblem: it is neither, or stands for more values than any memory holds.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return _parse_yaml(text)
    except yaml.YAMLError as error:
        if text.lstrip()[:1] in {"{", "["} and _TABS.search(text):
            # Brackets say what belongs together, and the tabs before a line nothing: YAML forbids them all the same.
            try:
                return _parse_yaml(_TABS.sub(lambda found: found[0].replace("\t", "    "), text))
            except yaml.YAMLError:
                pass
        raise ImportProblem(f"is neither JSON nor YAML: {_where(error)}") from error


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


def _parse_yaml(text: str) -> Any:
    builder = _Builder()
    for event in yaml.parse(text, _LOADER):
        if builder.take(event):
            break
    if builder.aliases:
        check_size(builder.value, "the document")
    return builder.value


class _Builder:
    """Builds the values of a document from its events.

    An anchor's value is known once it is complete: an alias inside of what it names is null.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.aliases = 0
        self._anchors: dict[str, Any] = {}
        # Of each open collection: itself, and the key that waits for its value; a list has none.
        self._open: list[tuple[Any, str | None]] = []
        self._collection: Any = None
        self._key: Any = None
        self._has_key = False
        self._names: list[str | None] = []

    def take(self, event: Any) -> bool:
        """Take an event; return whether the document is complete."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value = event.value
            if self._is_key():
                self._take_key(value, event.anchor)
                return False
            if not event.style and (not value or value[0] in _TYPED) and event.implicit[0]:
                value = _typed(value)
            return self._add(value, event.anchor)
        if kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._begin({} if kind is yaml.MappingStartEvent else [], event.anchor)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            return self._end()
        elif kind is yaml.AliasEvent:
            self.aliases += 1
            return self._take_alias(event.anchor)
        return False

    def _is_key(self) -> bool:
        return type(self._collection) is dict and not self._has_key

    def _take_key(self, key: str, anchor: str | None = None) -> None:
        self._key, self._has_key = key, True
        if anchor is not None:
            self._anchors[anchor] = key

    def _take_alias(self, name: str) -> bool:
        value = self._anchors.get(name)
        if self._is_key():
            self._take_key(str(value))
            return False
        return self._add(value, None)

    def _begin(self, collection: Any, anchor: str | None) -> None:
        if len(self._open) >= _DEEPEST:
            raise ImportProblem(f"is nested deeper than {_DEEPEST} levels")
        self._open.append((self._collection, self._key if self._has_key else None))
        self._names.append(anchor)
        self._collection, self._key, self._has_key = collection, None, False

    def _end(self) -> bool:
        done = self._collection
        self._collection, self._key = self._open.pop()
        self._has_key = self._key is not None
        return self._add(done, self._names.pop())

    def _add(self, value: Any, anchor: str | None) -> bool:
        if anchor is not None:
            self._anchors[anchor] = value
        collection = self._collection
        if collection is None:
            self.value = value
            return True
        if type(collection) is list:
            collection.append(value)
        elif not self._has_key:
            self._take_key(json.dumps(value, default=str))  # a collection as a key, which only YAML has
        else:
            if self._key == _MERGE:
                _merge(collection, value)
            else:
                collection[self._key] = value
            self._has_key = False
        return False


def _merge(into: dict[str, Any], value: Any) -> None:
    for source in value if isinstance(value, list) else [value]:
        if isinstance(source, dict):
            for key, part in source.items():
                into.setdefault(key, part)


def _typed(value: str) -> Any:
    """Return the value of a plain text by YAML 1.2's core schema (10.3.2); numbers that JSON lacks stay texts."""
    if value in _CONSTANTS:
        return _CONSTANTS[value]
    if _INTEGER.fullmatch(value):
        return int(value, 0) if value[:2] in {"0o", "0x"} else int(value)
    number = float(value) if _FLOAT.fullmatch(value) else math.inf
    return number if math.isfinite(number) else value
