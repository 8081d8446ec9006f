"""Text files that people and other programs write."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# A spreadsheet's "Unicode text" is UTF-16. Such files begin with a byte order mark, as its UTF-8 does.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(path: Path, what: str) -> str:
    """Return the text of a file: UTF-8, or what its byte order mark says.

    Args:
        path: the file.
        what: what errors call it.

    Raises:
        ConfigError: it cannot be read, or is no text.
    """
    try:
        return decode_text(path.read_bytes(), what)
    except OSError as error:
        raise ConfigError(f"{what}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a path with a NUL
        raise ConfigError(f"{what}: cannot be read: {error}") from error


def decode_text(content: bytes, what: str) -> str:
    """Return the text of the bytes: UTF-8, or what their byte order mark says.

    Raises:
        ConfigError: they are no text; `what` names them.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{what}: cannot be read: line {line} is not {encoding.removesuffix('-sig').upper()} text "
            f"(byte 0x{content[error.start]:02x}): save it as UTF-8"
        ) from error
