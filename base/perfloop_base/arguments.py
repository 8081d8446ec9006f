"""The arguments of this process as lists of processes show them: without secrets."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.redaction import REDACTED, is_secret_name, redact

if TYPE_CHECKING:
    from collections.abc import Sequence


def hide_arguments() -> None:
    """Overwrite the secrets in this process's arguments; Linux only, elsewhere they stay.

    /proc/PID/cmdline, which `ps` reads, is the memory between `arg_start` and `arg_end`, the fields 48 and 49 of
    proc_pid_stat(5). Until this call everybody on the machine could read them: a secret belongs into a file.
    """
    if not sys.platform.startswith("linux") or sys.orig_argv == _without_secrets(sys.orig_argv):
        return
    try:
        # The second field, a name in parentheses, may hold spaces and parentheses itself.
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        start, length = int(fields[45]), int(fields[46]) - int(fields[45])
    except (OSError, IndexError, ValueError):
        return
    if length <= 0:  # the kernel does not say where they are
        return
    words = [os.fsdecode(word) for word in ctypes.string_at(start, length).split(b"\0")]
    # Each keeps its length, or the kernel would take the environment behind them for further arguments.
    hidden = b"\0".join(
        os.fsencode(shown)[: len(os.fsencode(word))].ljust(len(os.fsencode(word)))
        for word, shown in zip(words, _without_secrets(words), strict=True)
    )
    ctypes.memmove(start, hidden, length)


def _without_secrets(words: Sequence[str]) -> list[str]:
    """Return arguments without their secrets: those in a text, and the value behind a secret's flag."""
    before = ("", *words)
    return [
        REDACTED if word and last.startswith("-") and "=" not in last and is_secret_name(last) else redact(word)
        for last, word in zip(before, words, strict=False)
    ]
