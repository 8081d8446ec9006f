"""Go's regular expressions (RE2) as Python's: the patterns on node_exporter's command lines.

The two agree on what such patterns use, except for the syntax translated here.
Source: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re

# POSIX classes, which stand inside of brackets.
CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
TOKEN = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|$)"
    r"|\\x\{(?P<code>[0-9A-Fa-f]{1,6})\}"
    r"|(?P<end>\\z)"
    r"|(?P<other>\\.)"
    r"|\[:(?P<name>[a-z]+):\]"
    r"|(?P<flags>(?<!^)\(\?[imsU-]+\))",
    re.DOTALL,
)


def translate(text: str) -> str:
    """Return the pattern in Python's syntax; what neither has is left to its compiler to refuse.

    Flags in the middle of a pattern hold from there on, as for Go, where they are in no group.
    """
    closing = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal closing
        if match["literal"] is not None:
            return re.escape(match["literal"])
        if match["code"]:
            number = int(match["code"], 16)
            return re.escape(chr(number)) if number < 0x110000 else match[0]  # noqa: PLR2004  # the end of Unicode
        if match["end"]:
            return r"\Z"
        if match["name"]:
            return CLASSES.get(match["name"], match[0])
        if match["flags"]:
            closing += 1
            return f"{match['flags'][:-1]}:"
        return match[0]

    return TOKEN.sub(replace, text) + ")" * closing
