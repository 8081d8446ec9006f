"""Put values in the places that a request leaves open: `${name}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from perfloop_loadgen.errors import ConfigError

_PLACE = re.compile(r"\$\{([A-Za-z_][\w.-]*)\}")


def is_open(value: Any) -> bool:
    """Say whether any text inside the value has a place to fill."""
    if isinstance(value, str):
        return _PLACE.search(value) is not None
    if isinstance(value, Mapping):
        return any(is_open(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(is_open(part) for part in value)
    return False


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """Return the value with every place filled; a text that is one place alone takes the value's own type."""
    if isinstance(value, str):
        alone = _PLACE.fullmatch(value)
        return _look_up(alone[1], values) if alone else _PLACE.sub(lambda m: str(_look_up(m[1], values)), value)
    if isinstance(value, Mapping):
        return {str(fill(key, values)): fill(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [fill(part, values) for part in value]
    return value


def fill_path(path: str, values: Mapping[str, Any]) -> str:
    """Return a path with every place filled and made safe for a URL."""
    return _PLACE.sub(lambda m: quote(str(_look_up(m[1], values)), safe=""), path)


def _look_up(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        known = ", ".join(sorted(values)) or "nothing"
        raise ConfigError([f"${{{name}}}: no data column or extracted value has this name; known: {known}"])
    return values[name]
