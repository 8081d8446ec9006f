"""YAML with file and line: what is not YAML, what repeats, and what YAML can do that JSON cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_base.located import is_duration, parse_located, read_located, show_path

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [", 2),
        ("a: 1\nb: c: d", 2),
        ("a: 1\n\tb: 2", 2),
        ("a: 1\nb: !unknown 2", 2),
        ("a: 1\nb: \x01", 2),
        ("a: 2024-99-99", 1),
    ],
)
def test_what_is_not_yaml_is_one_sentence_with_its_line(text: str, line: int):
    """Whatever the parser finds wrong."""
    with pytest.raises(ConfigError) as caught:
        parse_located(text, "f.yml", [])
    (problem,) = caught.value.problems
    assert problem.startswith(f"f.yml:{line}: not valid YAML: ")


@pytest.mark.parametrize("text", ["", "# nothing\n", "[1, 2]", "text"])
def test_a_file_that_is_not_a_mapping_is_refused(text: str):
    """An empty file, a list and a text have no fields."""
    with pytest.raises(ConfigError, match=r"^f\.yml:1: the file must be a mapping of names to values\.$"):
        parse_located(text, "f.yml", [])


def test_a_mapping_knows_the_line_of_each_key():
    """Also of a key inside of a list."""
    root = parse_located("a:\n  - b: 1\n    c: 2\n", "f.yml", [])
    (item,) = root.mappings("a")
    assert (root.lines, item.line, item.lines) == ({"a": 1}, 2, {"b": 2, "c": 3})


def test_merged_keys_give_way_to_the_mappings_own():
    """`<<` is YAML's way to repeat fields; the own ones win and are not duplicates."""
    problems: list[str] = []
    root = parse_located("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", "f.yml", problems)
    assert (root["b"], problems) == ({"x": 1, "y": 3}, [])


def test_an_alias_inside_of_what_it_names_ends():
    """YAML allows the loop; reading must not."""
    assert parse_located("a: &a [*a]", "f.yml", []) == {"a": [None]}


def test_repeated_aliases_cost_nothing():
    """Ten levels of ten aliases would be ten thousand million values if each were read again."""
    levels = "".join(f"l{at + 1}: &l{at + 1} [{', '.join([f'*l{at}'] * 10)}]\n" for at in range(10))
    root = parse_located(f"l0: &l0 [x]\n{levels}", "f.yml", [])
    assert len(root["l10"]) == 10


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path):
    """Missing, or no text."""
    with pytest.raises(ConfigError, match=r"absent\.yml: cannot be read: No such file or directory\.$"):
        read_located(tmp_path / "absent.yml", [])
    (tmp_path / "latin.yml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"latin\.yml: cannot be read: it is not UTF-8 text\.$"):
        read_located(tmp_path / "latin.yml", [])


def test_paths_are_shown_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What lies elsewhere is shown in full."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert show_path(tmp_path / "here" / "a" / "b.yml") == "a/b.yml"
    assert show_path(tmp_path / "c.yml") == str(tmp_path / "c.yml")


@pytest.mark.parametrize("text", ["30s", "5m", "1h30m", "1y2w3d4h5m6s7ms", "0"])
def test_durations_of_prometheus_are_accepted(text: str):
    """The largest unit first."""
    assert is_duration(text)


@pytest.mark.parametrize("text", ["", "5", "1.5s", "30m1h", "5m5m", "s", "-1s", "1ns", 30, None])
def test_what_prometheus_would_refuse_is_not_a_duration(text: object):
    """No fractions, no unit again, no number alone."""
    assert not is_duration(text)
