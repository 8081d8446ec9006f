"""YAML files that users write, checked against pydantic models; every problem names its file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, read_located, show_path, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

M = TypeVar("M", bound=BaseModel)


def read_document(model: type[M], path: Path) -> M:
    """Return the file as an instance of `model`.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or breaks the model; every problem is listed.
    """
    problems: list[str] = []
    root = read_located(path, problems)
    try:
        document = model.model_validate(root)
    except ValidationError as error:
        problems += [_sentence(model, root, problem, show_path(path)) for problem in error.errors()]
    if problems:
        raise ConfigError(problems)
    return document


def _sentence(model: type[BaseModel], root: Entry, problem: Mapping[str, Any], file: str) -> str:
    location = problem["loc"]
    where = f"{file}:{_line(root, location)}"
    field = ".".join(str(part) for part in location) or "document"
    if problem["type"] == "extra_forbidden":
        known = sorted(_siblings(model, location))
        return f"{where}: unknown field '{field}'; {suggest(str(location[-1]), known)}"
    if problem["type"] == "missing":
        return f"{where}: field '{field}' is missing"
    # pydantic prefixes the messages of a model's own validators.
    rule = problem["msg"].removeprefix("Value error, ")
    return f"{where}: field '{field}' has value {problem['input']!r}: {rule[:1].lower()}{rule[1:]}"


def _line(root: Entry, location: tuple[str | int, ...]) -> int:
    """Return the line of the innermost part of a location that is in the file."""
    line, value = root.line, root
    for part in location:
        if isinstance(value, Entry):
            line = value.lines.get(str(part), value.line)
        try:
            value = value[part]  # type: ignore[index] # a mapping by name, a list by number
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(value, Entry):
            line = value.line
    return line


def _siblings(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the field names of the model that holds the last part of a location."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, str):
            current = _inner_model(current.model_fields[part].annotation)
    return list(current.model_fields)


def _inner_model(annotation: Any) -> Any:
    """Return the model inside an annotation such as `list[Signal]` or `Limit | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(found for inner in annotation.__args__ if (found := _inner_model_or_none(inner)))


def _inner_model_or_none(annotation: Any) -> Any:
    try:
        return _inner_model(annotation)
    except (AttributeError, StopIteration):
        return None
