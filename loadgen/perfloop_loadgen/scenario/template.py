"""Fill the placeholders of a request: `${name}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from perfloop_base.errors import ConfigError

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][\w.-]*)\}")


def is_open(value: Any) -> bool:
    """Return whether any text inside the value has a placeholder."""
    if isinstance(value, str):
        return _PLACEHOLDER.search(value) is not None
    if isinstance(value, Mapping):
        return any(is_open(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(is_open(part) for part in value)
    return False


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """Return the value with every placeholder filled; a text that is only a placeholder takes the value's own type.

    Raises:
        ConfigError: there is no value of this name.
    """
    if isinstance(value, str):
        alone = _PLACEHOLDER.fullmatch(value)
        return _look_up(alone[1], values) if alone else _PLACEHOLDER.sub(lambda m: str(_look_up(m[1], values)), value)
    if isinstance(value, Mapping):
        return {str(fill(key, values)): fill(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [fill(part, values) for part in value]
    return value


def fill_path(path: str, values: Mapping[str, Any]) -> str:
    """Return a path with every placeholder filled and quoted for a URL."""
    return _PLACEHOLDER.sub(lambda m: quote(str(_look_up(m[1], values)), safe="", errors="replace"), path)


def _look_up(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        known = ", ".join(sorted(values)) or "nothing"
        raise ConfigError([f"${{{name}}}: no data column or extracted value has this name; known: {known}"])
    return values[name]
