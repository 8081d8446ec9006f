r"""Text from outside made visible: what a terminal would obey or a reader would not see is written as an escape.

A label, a file's name or an answer may hold escape sequences that recolour, overwrite or retitle a terminal, and marks
that turn the direction of writing around (CVE-2021-42574, "Trojan Source"). As `\x1b` or `\u202e` they do nothing.
"""

from __future__ import annotations

import re
import reprlib

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LAST_OF_TWO_DIGITS = 0xFF
_LAST_OF_FOUR_DIGITS = 0xFFFF
# Printable by Unicode's categories, and still without a mark on the screen: combining joiner, Hangul and Khmer fillers,
# Mongolian and other variation selectors, and the Braille pattern without a dot.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# What a spreadsheet takes for the beginning of a formula, the wide forms of East Asian keyboards included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


_LONGEST = 160
_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = _LONGEST
_BRIEF.maxlevel = 3


def visible(text: str, *, newlines: bool = False) -> str:
    """Return the text with every character that does not print written as an escape, as `repr` writes it.

    These are control characters (C0, DEL, C1), bidirectional marks, zero-width and other format characters, unusual
    spaces, separators of lines and paragraphs, lone surrogates, and characters that Unicode does not know.

    Args:
        text: any text, from anywhere.
        newlines: whether line feeds stay, for a text of several lines.
    """
    if text.isprintable() and _BLANK.search(text) is None:
        return text
    return "".join(
        character if _prints(character) or (newlines and character == "\n") else _escape(character)
        for character in text
    )


def brief(value: object) -> str:
    """Return the `repr` of a value as a sentence about it holds it: in at most about 200 characters, printable."""
    if not isinstance(value, str):
        return visible(_BRIEF.repr(value))
    return visible(repr(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"))


def csv_cell(text: str) -> str:
    """Return a cell of text that no spreadsheet takes for a formula: one that begins like a formula gets an apostrophe.

    For cells of text only; a column of numbers is written as numbers.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _prints(character: str) -> bool:
    return character.isprintable() and _BLANK.match(character) is None


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code <= _LAST_OF_TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_OF_FOUR_DIGITS else f"\\U{code:08x}"
