"""Which series a PromQL expression asks for: names, and the labels that their matchers name."""

from __future__ import annotations

import re
from dataclasses import dataclass

STRING = re.compile(r'"(?:\\.|[^"\\])*"' + r"|'(?:\\.|[^'\\])*'")
# Lists of labels: they name no series.
GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
RANGE = re.compile(r"\[[^\]]*\]")
NAME = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?![\w:])\s*(\{[^}]*\})?(?!\s*\()")
LABEL = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "by", "without", "on", "ignoring"}


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """A series by name and the labels it must have."""

    name: str
    labels: tuple[str, ...]


def find_selectors(expr: str) -> list[Selector]:
    """Return the selectors of an expression, each once."""
    text = RANGE.sub(" ", GROUPING.sub(" ", STRING.sub('""', expr)))
    found = {
        Selector(name, tuple(sorted(set(LABEL.findall(matchers or "")))))
        for name, matchers in NAME.findall(text)
        if name.lower() not in KEYWORDS and not re.fullmatch(r"\d+[smhdwy]", name)
    }
    return sorted(found)
