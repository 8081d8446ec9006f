"""How people name runs: an id, the beginning of one, `latest`, `latest~1`, `baseline:NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from perfloop_base.errors import ConfigError
from perfloop_base.visible import brief

FORMS = "an id or its beginning, latest, latest~1, or baseline:NAME"
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
_LATEST = re.compile(r"latest(?:~(?P<back>[0-9]{1,6}))?")
_BASELINE = "baseline:"
_NAME = re.compile(r"[0-9A-Za-z][\w./-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference that was read: one of the fields says what is meant.

    Attributes:
        beginning: Of an id.
        back: How many runs before the newest.
        baseline: The baseline's name.
    """

    beginning: str = ""
    back: int | None = None
    baseline: str = ""


def parse_reference(text: str) -> Reference:
    """Return what a reference means.

    Raises:
        ConfigError: it is none.
    """
    latest = _LATEST.fullmatch(text)
    if latest is not None:
        return Reference(back=int(latest["back"] or 0))
    if text.startswith(_BASELINE):
        return Reference(baseline=checked_name(text.removeprefix(_BASELINE)))
    if _ID.fullmatch(text) is None:
        raise ConfigError(f"{brief(text)} names no run: write {FORMS}")
    return Reference(beginning=text)


def checked_name(name: str) -> str:
    """Return the name of a baseline.

    Raises:
        ConfigError: it cannot be one.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{brief(name)} is no name of a baseline: it begins with a letter or digit and holds at most 100 letters, "
            "digits, '.', '_', '/' and '-'"
        )
    return name
