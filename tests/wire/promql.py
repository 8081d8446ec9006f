"""Which metrics a PromQL expression names: enough of its grammar for that, and no more."""

from __future__ import annotations

import re

KEYWORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan", "start", "end"})
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_GROUPINGS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\b\s*(\([^()]*\))?")
_NAME = re.compile(r"[a-zA-Z_:$][a-zA-Z0-9_:]*")
_BRACES = re.compile(r"{[^{}]*}")
_RANGES = re.compile(r"\[[^\[\]]*\]")
_DURATION = re.compile(r"\boffset\s+-?\w+|(?<![\w:])\d[\w.]*")


def metric_names(expression: str) -> set[str]:
    """The metrics of an expression, recorded series among them; functions, labels and keywords are left out."""
    plain = _STRINGS.sub('""', expression)
    plain = _RANGES.sub(" ", _BRACES.sub(" ", plain))
    plain = _DURATION.sub(" ", _GROUPINGS.sub(" ", plain))
    found = set()
    for match in _NAME.finditer(plain):
        is_function = plain[match.end() :].lstrip().startswith("(")
        word = match.group()
        if not is_function and word.lower() not in KEYWORDS and not word.startswith("$"):
            found.add(word)
    return found


def matched_labels(expression: str) -> set[str]:
    """The labels that an expression's matchers ask for."""
    return {
        label
        for braces in _BRACES.findall(_STRINGS.sub('""', expression))
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", braces)
    }
