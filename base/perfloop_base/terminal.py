"""What a command writes for a person: without secrets, and without anything that a terminal would obey.

A label, a file's name, a log line or an answer from the network reaches terminals by these functions only.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from perfloop_base.redaction import redact
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable


def shown(text: object) -> str:
    """Return a text as a terminal may show it; line feeds stay."""
    return visible(redact(str(text)), newlines=True)


def show(text: object) -> None:
    """Write a text and a line feed to standard output."""
    _write(sys.stdout, (str(text),))


def warn(text: object) -> None:
    """Write a text and a line feed to standard error."""
    _write(sys.stderr, (str(text),))


def show_lines(lines: Iterable[str]) -> None:
    """Write lines that were read from a file or a pipe to standard output as they come, with or without line feeds."""
    _write(sys.stdout, lines)


def _write(stream: TextIO, lines: Iterable[str]) -> None:
    for line in lines:
        # Surrogates and the like are escapes by now; what the terminal's encoding lacks becomes a question mark.
        text = shown(line.removesuffix("\n"))
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()
