"""Fill the placeholders of a request: `config/placeholders.py` says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.addresses import below, is_http
from perfloop_loadgen.config.placeholders import PLACEHOLDER, names_in, quoted, starts_raw

if TYPE_CHECKING:
    import re

    from perfloop_loadgen.config.addresses import ServiceUrl

_LONGEST_LIST = 20


def is_open(value: Any) -> bool:
    """Return whether any text inside the value has a placeholder."""
    return next(names_in(value), None) is not None


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """Return the value with every placeholder filled; a text that is only a placeholder takes the value's own type.

    Raises:
        ConfigError: there is no value of this name.
    """
    if isinstance(value, str):
        if "${" not in value:
            return value
        alone = PLACEHOLDER.fullmatch(value)
        if alone and len(alone[1]) == 1:
            return _look_up(alone, values)
        return PLACEHOLDER.sub(lambda found: _filled(found, values), value)
    if isinstance(value, Mapping):
        return {str(fill(key, values)): fill(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [fill(part, values) for part in value]
    return value


def fill_path(path: str, values: Mapping[str, Any], base: ServiceUrl | None = None) -> str:
    """Return a path with every placeholder filled: quoted for a URL, unless it is raw.

    Args:
        path: the path of an endpoint.
        values: what fills it.
        base: the service, of which a path that is filled as a whole may be a URL. None: it must be a path.

    Raises:
        ConfigError: there is no value of this name, or a whole path is none, or a URL of another service.
    """
    is_whole = starts_raw(path)
    is_raw = is_whole

    def filled(found: re.Match[str]) -> str:
        nonlocal is_raw
        text = _filled(found, values)
        if len(found[1]) > 1 or is_whole or found[2] == "raw":
            is_raw = True
            return text
        return quoted(text)

    text = PLACEHOLDER.sub(filled, path)
    if is_raw:
        # A fragment is the browser's own affair: it is never sent.
        text = text.partition("#")[0]
    return _of_service(text, base) if is_whole else text


def _of_service(text: str, base: ServiceUrl | None) -> str:
    """Return the path that a whole path or URL stands for, below the path of the service's own address."""
    if text.startswith("/"):
        return text
    if base is None or not is_http(text):
        raise ConfigError(f"{text!r}: a path must start with '/', or be a URL of the service at base_url")
    try:
        return below(text, base)
    except ValueError as error:
        raise ConfigError(f"{text!r} {error}") from error


def _filled(found: re.Match[str], values: Mapping[str, Any]) -> str:
    if len(found[1]) > 1:
        return found[0][1:]
    value = _look_up(found, values)
    # Within a text a value is written as JSON has it: `true` and `null`, not Python's `True` and `None`.
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _look_up(found: re.Match[str], values: Mapping[str, Any]) -> Any:
    if found[3] not in values:
        known = ", ".join(sorted(values)[:_LONGEST_LIST]) or "nothing"
        raise ConfigError([f"{found[0]}: no data column or extracted value has this name; known: {known}"])
    return values[found[3]]
