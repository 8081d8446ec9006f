"""What every command line has in common: a strict parser, the flags for logs, and errors as sentences on stderr."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from perfloop_base import logs
from perfloop_base.arguments import hide_arguments
from perfloop_base.errors import ConfigError, ExitCode, PerfloopError
from perfloop_base.flags import add_flags, read_flags
from perfloop_base.redaction import REDACTED, is_secret_name, redact, register_environment
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# argparse's sentence about an unknown command; newer versions of Python leave the quotes out.
_CHOICE = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<known>.*)\)")


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, raises ConfigError, and suggests what an unknown flag may have meant.

    The flags of `flags.add_flags` are checked here too, so that every problem of a command line is reported together.

    `@FILE` stands for the flags in a file, one a line, as for Prometheus's own programs: a flag with a secret in it can
    be kept from the list of processes, which everyone on a machine can read.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("fromfile_prefix_chars", "@")
        super().__init__(*args, **options)

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """Return the flag of a line of such a file; empty lines and comments have none."""
        text = arg_line.strip()
        return [] if not text or text.startswith("#") else [text]

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with its usage."""
        choice = _CHOICE.search(message)
        near = _suggestion(choice["word"], choice["known"].replace("'", "").split(", ")) if choice else ""
        raise ConfigError(message.removeprefix("argument ") + near)

    def parse_args(self, args: Sequence[str] | None = None) -> argparse.Namespace:  # type: ignore[override] # a namespace of one's own is not needed
        """Return the namespace.

        Raises:
            ConfigError: unknown flags and every value that breaks a rule.
        """
        try:
            found, unknown = self.parse_known_args(args)
        except UnicodeDecodeError as error:
            raise ConfigError("a file of flags, named by @FILE, is not UTF-8 text") from error
        known = sorted(_flags(self))
        problems = [
            f"unknown {_kind(word)}: {_without_secret(word, known)!r}{_suggestion(word, known)}"
            for word in _mistakes(unknown)
        ]
        for kind in getattr(found, "flag_classes", None) or ():
            try:
                read_flags(kind, found)
            except ConfigError as error:
                problems += error.problems
        hide_arguments()  # now that the flags have said which of their values are secrets
        if problems:
            raise ConfigError(problems)
        return found


def _flags(parser: argparse.ArgumentParser) -> Iterable[str]:
    # argparse has no public way to list the flags of a parser and its commands.
    for action in parser._actions:  # noqa: SLF001
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                yield from _flags(inner)


def _mistakes(words: Sequence[str]) -> list[str]:
    """Return the unknown words without those that are only the value of an unknown flag before them."""
    before = ("", *words)
    return [word for last, word in zip(before, words, strict=False) if word.startswith("-") or not last.startswith("-")]


def _kind(word: str) -> str:
    return "flag" if word.startswith("-") else "argument"


def _without_secret(word: str, known: Sequence[str]) -> str:
    """Return an unknown flag without its value, unless the flag that was meant is known to take no secret.

    The name of a flag is wrong here, so that it does not say what its value is.
    """
    name, equals, _ = word.partition("=")
    meant = _nearest(name, known)
    if not equals or (meant and not is_secret_name(meant) and not is_secret_name(name)):
        return word
    return f"{name}={REDACTED}"


def _suggestion(word: str, known: Sequence[str]) -> str:
    near = _nearest(word.partition("=")[0], known)
    return f"; did you mean {near}?" if near else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    # Two wrong characters are a slip; the rest of most names is the same in many flags.
    cutoff = max(0.6, 1 - 2 / max(len(name), 1))
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return near[0] if near else ""


def add_log_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--log.level` and `--log.format`; `set_up_logs` follows them."""
    add_flags(parser, logs.LogSettings, "logging")


def set_up_logs(arguments: argparse.Namespace) -> None:
    """Log as the flags of `add_log_flags` ask."""
    settings = read_flags(logs.LogSettings, arguments)
    logs.set_up(settings.level, settings.format)


def exit_codes(*codes: ExitCode) -> str:
    """Return the sentence about exit codes for the end of a command's help."""
    meanings = ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in codes)
    return f"Exit codes: {meanings}."


def guard(program: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit code; an error becomes one sentence per problem on stderr.

    No sentence, and no traceback of an unexpected error, shows a secret.
    """
    register_environment(os.environ)
    hide_arguments()
    logs.guard_tracebacks()
    try:
        return int(command())
    except SystemExit as asked:  # --help and --version
        return asked.code if isinstance(asked.code, int) else ExitCode.OK
    except BrokenPipeError:
        # The reader closed our output, as `head` does; without this Python reports the error again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except (PerfloopError, OSError, KeyboardInterrupt) as error:
        sentences, code = _explain(error)
        for sentence in sentences:
            sys.stderr.write(f"{program}: {visible(redact(sentence), newlines=True)}\n")
        return code


def _explain(error: BaseException) -> tuple[Sequence[str], int]:
    if isinstance(error, ConfigError):
        return error.problems, error.exit_code
    if isinstance(error, PerfloopError):
        return (str(error),), error.exit_code
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return (f"{error.filename}: {reason}" if error.filename else reason,), ExitCode.FAILED
    return ("interrupted",), ExitCode.INTERRUPTED
