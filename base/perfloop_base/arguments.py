"""The arguments of this process as lists of processes show them: without secrets."""

from __future__ import annotations

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
        shown = Path("/proc/self/cmdline").read_bytes()
        start, end = int(fields[45]), int(fields[46])
        # Through the file, since a wrong address is an error there, and not the end of the process.
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            if end - start == len(shown) and memory.read(len(shown)) == shown:
                memory.seek(start)
                memory.write(_hidden(shown))
    except (OSError, IndexError, ValueError, OverflowError):
        return  # nothing depends on it: the secrets stay in the list


def _hidden(shown: bytes) -> bytes:
    """Return the arguments without their secrets; each keeps its length, or the environment behind would be shown."""
    words = [os.fsdecode(word) for word in shown.split(b"\0")]
    return b"\0".join(
        os.fsencode(new)[: len(os.fsencode(old))].ljust(len(os.fsencode(old)))
        for old, new in zip(words, _without_secrets(words), strict=True)
    )


def _without_secrets(words: Sequence[str]) -> list[str]:
    """Return arguments without their secrets: those in a text, and the value behind a secret's flag."""
    before = ("", *words)
    return [
        REDACTED if word and last.startswith("-") and "=" not in last and is_secret_name(last) else redact(word)
        for last, word in zip(before, words, strict=False)
    ]
