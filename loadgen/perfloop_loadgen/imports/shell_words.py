"""Command lines as a POSIX shell splits them, with the quotes that browsers' "Copy as cURL" writes.

A variable (`$TOKEN`, `${TOKEN}`) outside of single quotes is a mark of `env:TOKEN`: it is the person's own environment.
The standard library's `shlex` does not know `$'…'` (ANSI-C quoting, POSIX 2024), nor where a command ends. The form for
Windows' cmd.exe, with `^` for the backslash, is read as well.
"""

from __future__ import annotations

import re

from perfloop_loadgen.imports.marks import mark

_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "?": "?",
}
_ANSI_C = re.compile(
    r"((?:\\x[0-9a-fA-F]{1,2})+)|\\(?:u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
_PLAIN = re.compile(r"[^\s'\"\\$;&|#`]+")
_CARET = re.compile(r"\^(\r?\n|.)", re.DOTALL)
_LARGEST_CODE = 0x10FFFF
_SEPARATORS = ("&&", "||", ";", "|", "&", "\n")


class ShellError(ValueError):
    """A text that is no command, or one whose words only a shell can know."""


def split_commands(text: str) -> list[list[str]]:
    """Return the words of each command of a text.

    Raises:
        ShellError: a quote is not closed, or a word is the output of another command.
    """
    if re.search(r"\^\r?\n|\^\"", text):
        text = _CARET.sub(lambda found: " " if "\n" in found[1] else found[1], text)
        text = re.sub(r"[$`]", r"\\\g<0>", text)  # which mean nothing there
    return _Splitter(text).commands()


class _Splitter:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._word: list[str] | None = None
        self._words: list[str] = []
        self._commands: list[list[str]] = []

    def commands(self) -> list[list[str]]:
        while self._at < len(self._text):
            self._take()
        self._end_command()
        return self._commands

    def _take(self) -> None:
        text, at = self._text, self._at
        plain = _PLAIN.match(text, at)
        if plain:
            self._add(plain[0], plain.end())
            return
        separator = next((one for one in _SEPARATORS if text.startswith(one, at)), None)
        character = text[at]
        if separator is not None:
            self._end_command()
            self._at += len(separator)
        elif character.isspace():
            self._end_word()
            self._at += 1
        elif character == "#" and self._word is None:
            end = text.find("\n", at)
            self._at = len(text) if end < 0 else end
        elif text.startswith("\\\n", at):
            self._at += 2
        else:
            self._quoted(character)

    def _quoted(self, character: str) -> None:
        at = self._at
        if character == "'":
            end = self._find("'", at + 1)
            self._add(self._text[at + 1 : end], end + 1)
        elif character == '"':
            self._double()
        elif self._text.startswith("$'", at):
            self._ansi_c()
        elif character in {"$", "`"}:
            self._add(*self._variable(at))
        elif character == "\\":
            self._add(self._text[at + 1 : at + 2], at + 2)
        else:  # a `#` inside of a word
            self._add(character, at + 1)

    def _variable(self, at: int) -> tuple[str, int]:
        """Return the mark of a variable and where it ends; a dollar sign before anything else is one."""
        found = _VARIABLE.match(self._text, at)
        if found:
            return mark(f"env:{found[1] or found[2]}"), found.end()
        if self._text.startswith(("$(", "`"), at):
            raise ShellError("a part of it is the output of another command, which is not run")
        return self._text[at], at + 1

    def _double(self) -> None:
        at = self._at + 1
        parts: list[str] = []
        while True:
            character = self._text[at : at + 1]
            if not character:
                raise ShellError("a quote is not closed")
            if character == '"':
                break
            if character in {"$", "`"}:
                part, at = self._variable(at)
                parts.append(part)
            elif character == "\\" and self._text[at + 1 : at + 2] in {'"', "\\", "$", "`", "\n"}:
                parts.append(self._text[at + 1].replace("\n", ""))
                at += 2
            else:
                parts.append(character)
                at += 1
        self._add("".join(parts), at + 1)

    def _ansi_c(self) -> None:
        end = self._at + 2
        while True:
            end = min((found for sign in "'\\" if (found := self._text.find(sign, end)) >= 0), default=-1)
            if end < 0:
                raise ShellError("a quote is not closed")
            if self._text[end] == "'":
                break
            end += 2
        text = _ANSI_C.sub(_character, self._text[self._at + 2 : end])
        # JavaScript writes a character beyond U+FFFF as two, which are one again here.
        self._add(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), end + 1)

    def _find(self, sign: str, begin: int) -> int:
        end = self._text.find(sign, begin)
        if end < 0:
            raise ShellError("a quote is not closed")
        return end

    def _add(self, text: str, end: int) -> None:
        if self._word is None:
            self._word = []
        self._word.append(text)
        self._at = end

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
            self._word = None

    def _end_command(self) -> None:
        self._end_word()
        if self._words:
            self._commands.append(self._words)
            self._words = []


def _character(found: re.Match[str]) -> str:
    if found[1]:  # the bytes of UTF-8
        return bytes(int(one, 16) for one in found[1].split("\\x")[1:]).decode("utf-8", "replace")
    hexadecimal = found[2] or found[3]
    if hexadecimal or found[4]:
        code = int(hexadecimal, 16) if hexadecimal else int(found[4], 8)
        return chr(code) if code <= _LARGEST_CODE else "�"
    return _ESCAPES.get(found[5], f"\\{found[5]}")
