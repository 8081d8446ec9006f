"""The glossary's checker: what it finds, what it leaves alone, and where its phrases come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.glossary import EXCEPTIONS, Hit, Phrase, find_phrases, is_excepted, main, read_phrases

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """# Words

| instead of | write |
|---|---|
| room, rooms | component |
| aimed at | with base URL |

Text.
"""
PHRASES = read_phrases(PAGE)


def test_phrases_come_from_the_table() -> None:
    """Each form in a cell of the left column is one phrase with the row's replacement."""
    assert read_phrases(PAGE) == [
        Phrase(("room",), "component"),
        Phrase(("rooms",), "component"),
        Phrase(("aimed", "at"), "with base URL"),
    ]


def test_a_page_without_the_table_is_an_error() -> None:
    """A page whose table was renamed cannot switch the check off."""
    with pytest.raises(ValueError, match="no table with the columns `instead of` and `write`"):
        read_phrases("# Words\n\n| old | new |\n|---|---|\n| room | component |\n")


@pytest.mark.parametrize(
    "text",
    [
        "one room here",
        "ROOM = 1",
        "def find_room() -> None:",
        "class RoomName:",
        "roomName = 1",
        "the HTTPRoom type",
        "Aimed at a host",
        "client.aimed_at(url)",
        "AimedAt",
        "# it is aimed\n    # at a host",
        "<b>rooms</b>",
    ],
)
def test_a_planted_phrase_is_found(text: str) -> None:
    """A phrase is found in prose, in any case, across lines, and inside identifiers."""
    assert len(find_phrases("a.py", text, PHRASES)) == 1


@pytest.mark.parametrize(
    "text", ["bathroom", "mushrooms", "aimed, at last", "aimed the gun at it", "at aimed", "broom"]
)
def test_other_words_are_left_alone(text: str) -> None:
    """Parts of longer words, and words of a phrase that are apart, are no hit."""
    assert find_phrases("a.py", text, PHRASES) == []


@pytest.mark.parametrize(("text", "hits"), [("cannot tell", 0), ("--cannot-tell, CANNOT_TELL", 0), ("tell", 1)])
def test_a_term_is_left_alone(text: str, hits: int) -> None:
    """A word inside of a term is no hit; alone it is one."""
    assert len(find_phrases("a.py", text, [Phrase(("tell",), "report")])) == hits


def test_a_hit_says_where_and_what_to_write() -> None:
    """A hit is one line with file, line, phrase and replacement."""
    (hit,) = find_phrases("docs/a.md", "first\nsecond\na room\n", PHRASES)
    assert str(hit) == 'docs/a.md:3: "room": write "component"'


@pytest.mark.parametrize(("paths", "phrase", "reason"), EXCEPTIONS)
def test_every_exception_has_a_reason_and_a_file(paths: str, phrase: str, reason: str, checkout: Path) -> None:
    """An exception covers its phrase in a file that exists, and says why."""
    assert reason
    assert list(checkout.glob(paths.replace("tests/*/fixtures/*", "tests/**/fixtures/*")))
    assert is_excepted(Hit(paths, 1, phrase, ""))


def test_the_project_is_searched(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A phrase planted in a new file of a repository makes the command fail with its line."""
    import subprocess

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "CONTRIBUTING.md").write_text((checkout / "CONTRIBUTING.md").read_text())
    (tmp_path / "clean.py").write_text('"""Returns a component."""\n')
    assert main(tmp_path) == 0
    (tmp_path / "planted.py").write_text("\ndef tell_all() -> None: ...\n")
    assert main(tmp_path) == 1
    assert capsys.readouterr().out.startswith('planted.py:2: "tell": write "report')
