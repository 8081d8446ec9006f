"""Finds the phrases that CONTRIBUTING's glossary replaces: `python -m tests.support.glossary`.

The left column of the table in CONTRIBUTING.md is the only list of phrases. A phrase is a row of words; it is found in
any case, over line breaks, and as the words of an identifier: `aimed at` finds `aimed_at`, `aimedAt` and `AimedAt`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
TABLE = "CONTRIBUTING.md"
ALL = "*"

# The words of a text: parts of CamelCase and snake_case are words of their own.
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
# What may lie between two words of one phrase: blanks, a line break with its comment sign, or the joint of a name.
GAP = re.compile(r"[ \t]*(?:\n[ \t#>*]*)?|_+|-")


class Phrase(NamedTuple):
    """One phrase of the left column, and what to write instead."""

    words: tuple[str, ...]
    instead: str


class Hit(NamedTuple):
    """One place where a phrase was found."""

    path: str
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        """Format the hit as one line for an editor to jump to."""
        return f'{self.path}:{self.line}: "{self.found}": write "{self.instead}"'


# Words that are fine inside of a term: the fourth answer of a comparison of load tests.
TERMS = (("cannot", "tell"),)

# (paths, phrase, reason). `*` as the phrase leaves a whole file out.
EXCEPTIONS = (
    (TABLE, ALL, "the glossary itself"),
    ("tests/support/glossary.py", ALL, "the checker and its exceptions"),
    ("tests/test_glossary.py", ALL, "plants phrases"),
    ("tests/*/fixtures/*", ALL, "recorded from other programs and kernels"),
    ("requirements.lock", ALL, "names of other projects' packages"),
    ("constraints.txt", ALL, "names of other projects' packages"),
    ("grafana/provisioning/*", "folder", "a key of Grafana's provisioning files"),
    ("tests/grafana/test_export.py", "folder", "Grafana's word for where its boards are"),
    ("tests/grafana/test_export.py", "folders", "an address of Grafana's API"),
)


def read_phrases(page: str) -> list[Phrase]:
    """Return the phrases of the page's table `instead of | write`.

    Raises:
        ValueError: if the page has no such table, so that a moved heading cannot switch the check off.
    """
    head = re.search(r"^\| instead of \| write \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, flags=re.MULTILINE)
    if head is None:
        raise ValueError(f"{TABLE} has no table with the columns `instead of` and `write`")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in head[1].splitlines()]
    return [Phrase(tuple(form.lower().split()), instead) for forms, instead in rows for form in forms.split(",")]


def find_phrases(path: str, text: str, phrases: list[Phrase]) -> list[Hit]:
    """Return every hit in a text, in the order of its lines; `path` is only reported."""
    by_first: dict[str, list[Phrase]] = {}
    for phrase in phrases:
        by_first.setdefault(phrase.words[0], []).append(phrase)
    words = list(WORD.finditer(text))
    hits = []
    for place, word in enumerate(words):
        for phrase in by_first.get(word[0].lower(), ()):
            row = words[place : place + len(phrase.words)]
            found = tuple(w[0].lower() for w in row) == phrase.words and _joined(text, row)
            if found and not _is_term(text, words[max(0, place - 1) : place + 1]):
                line = text.count("\n", 0, word.start()) + 1
                hits.append(Hit(path, line, " ".join(phrase.words), phrase.instead))
    return hits


def _is_term(text: str, row: list[re.Match[str]]) -> bool:
    return tuple(word[0].lower() for word in row) in TERMS and _joined(text, row)


def _joined(text: str, row: list[re.Match[str]]) -> bool:
    """Whether nothing but a gap lies between each word and the next."""
    return all(GAP.fullmatch(text, a.end(), b.start()) for a, b in pairwise(row))


def is_excepted(hit: Hit) -> bool:
    """Whether the list of exceptions covers a hit."""
    return any(fnmatchcase(hit.path, paths) and phrase in (ALL, hit.found) for paths, phrase, _ in EXCEPTIONS)


def search_tracked_files(checkout: Path) -> list[Hit]:
    """Return every hit in the text files that git tracks, with those not yet added."""
    phrases = read_phrases((checkout / TABLE).read_text())
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout, capture_output=True, text=True, check=True,
    )  # fmt: skip
    hits: list[Hit] = []
    for path in sorted(filter(None, listed.stdout.split("\0"))):
        content = (checkout / path).read_bytes() if (checkout / path).is_file() else b"\0"
        if b"\0" not in content:
            hits += find_phrases(path, content.decode("utf-8", errors="replace"), phrases)
    return [hit for hit in hits if not is_excepted(hit)]


def main(checkout: Path = CHECKOUT) -> int:
    """Print every hit; return 1 if there is one."""
    hits = search_tracked_files(checkout)
    for hit in hits:
        sys.stdout.write(f"{hit}\n")
    return 1 if hits else 0


if __name__ == "__main__":
    sys.exit(main())
