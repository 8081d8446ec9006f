"""Keep credentials out of reports, metrics and messages, and make names fit to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from perfloop_base.redaction import REDACTED, is_secret_name, redact, redact_mapping, register, register_url
from perfloop_base.visible import visible

HIDDEN = REDACTED
# What earlier versions wrote instead.
_HIDDEN_BEFORE = "(hidden)"
_OPEN = "${"


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with every secret hidden: by the names of its keys, and wherever a text holds one."""
    return redact_mapping({key: _renamed(part) for key, part in config.items()})


def _renamed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _renamed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(part) for part in value]
    return HIDDEN if value == _HIDDEN_BEFORE else value


def register_secrets(config: Mapping[str, Any]) -> None:
    """Remember every secret of a configuration, so that no message shows it, wherever a server repeats it."""
    for name, text in _texts(config, ""):
        if _OPEN in text:
            continue  # filled in later: the text itself is no secret
        if is_secret_name(name):
            register(text.rpartition(" ")[2])  # without the scheme of an Authorization header
            register(text)
        elif "://" in text:
            register_url(text)
    shown.cache_clear()


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield each text with the name that it stands under; below a secret's name everything is a secret."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            # `extract: {token: "json:access_token"}` says where a secret will be found.
            if key != "extract":
                yield from _texts(part, name if is_secret_name(name) else str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, name)
    elif isinstance(value, str):
        yield name, value


@lru_cache(maxsize=4096)
def shown(text: str) -> str:
    """Return a name or sentence as every report, metric and message may show it: no secret, nothing invisible."""
    return visible(redact(text))
