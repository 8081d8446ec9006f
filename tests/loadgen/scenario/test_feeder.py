"""Data files as spreadsheets, databases and people write them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen.scenario.feeder import read_rows

if TYPE_CHECKING:
    from pathlib import Path

TWO = [{"user": "alice", "age": "1"}, {"user": "bob", "age": "2"}]


def _rows(directory: Path, content: str | bytes, name: str = "d.csv") -> list[Any]:
    path = directory / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path)


@pytest.mark.parametrize(
    "content",
    [
        "user,age\nalice,1\nbob,2\n",
        "\ufeffuser,age\r\nalice,1\r\nbob,2\r\n",
        "user;age\nalice;1\nbob;2",
        "user\tage\nalice\t1\nbob\t2\n",
        "user|age\nalice|1\nbob|2\n",
        "sep=;\nuser;age\nalice;1\nbob;2\n",
        " user , age\nalice,1\nbob,2\n",
        "user,age,\nalice,1,\nbob,2,\n",
        "user,age\nalice,1,,\n\nbob,2,,\n\n",
        '\n\n"user","age"\n"alice","1"\n"bob","2"\n',
        "user,age\ralice,1\rbob,2\r",
    ],
)
def test_forms_of_csv(tmp_path: Path, content: str):
    """Delimiters, marks, line ends, empty lines, delimiters at the end of lines: the same two rows."""
    assert _rows(tmp_path, content) == TWO


@pytest.mark.parametrize("name", ["d.CSV", "d.tsv", "d.txt", "d"])
def test_names_of_csv(tmp_path: Path, name: str):
    """What does not say that it is JSON, and does not look like it, is CSV."""
    assert _rows(tmp_path, "user,age\nalice,1\nbob,2\n", name) == TWO


def test_a_spreadsheet_in_utf_16(tmp_path: Path):
    """What a spreadsheet calls "Unicode text"."""
    assert _rows(tmp_path, "user\tage\nalice\t1\nbob\t2\n".encode("utf-16")) == TWO


def test_what_belongs_to_a_cell(tmp_path: Path):
    """Line breaks and quotes within quotes, separators that other programs split at, a delimiter of another file."""
    content = 'name,note\nalice,"line one\nline two, ""quoted"""\nbob,a\u2028b\x0bc\x0cd\x85e;f\n'
    assert _rows(tmp_path, content) == [
        {"name": "alice", "note": 'line one\nline two, "quoted"'},
        {"name": "bob", "note": "a\u2028b\x0bc\x0cd\x85e;f"},
    ]


def test_a_file_of_one_column_has_no_delimiter(tmp_path: Path):
    """URLs and JSON hold commas and semicolons."""
    content = 'path\n/a?b=1,2;3|4\n{"a": 1, "b": 2}\n"quoted, too"\n'
    assert [row["path"] for row in _rows(tmp_path, content)] == ["/a?b=1,2;3|4", '{"a": 1, "b": 2}', "quoted, too"]


@pytest.mark.parametrize("first", ["/a?b=1,2", "http://h/;x", "HTTPS://h"])
def test_a_list_of_urls_needs_no_header(tmp_path: Path, first: str):
    """One a line, with whatever they hold."""
    rows = _rows(tmp_path, f"{first}\r\n/b,c;d\n\n", "urls.txt")
    assert rows == [{"url": first}, {"url": "/b,c;d"}]


def test_a_comma_in_a_header_of_semicolons(tmp_path: Path):
    """The delimiter is the one that fits the rows."""
    content = "name, first;age\nalice;1\nbob;2\n"
    assert _rows(tmp_path, content)[0] == {"name, first": "alice", "age": "1"}


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (
            "name,age\nalice\nbob,3,4\ncarl,5\n",
            [":2: has 1 cell for 2 columns (name, age)", ":3: has 3 cells for 2 columns (name, age)"],
        ),
        ("sep=;\na;b\n1\n", [":3: has 1 cell for 2 columns (a, b)"]),
        ("user,age,user\na,1,b\n", [": the column 'user' stands twice in the first line"]),
        (",,\na,b,c\n", [": the first line must name the columns"]),
        ('a,b\n"x,1\ny,2\n', [":3: is not CSV: unexpected end of data"]),
        ("", [": is empty"]),
        ("\ufeff \n\n", [": is empty"]),
        ("a,b\n", [": holds no rows"]),
        (b"a,b\n1,2\n\xe4,3\n", [": cannot be read: line 3 is not UTF-8 text (byte 0xe4): save it as UTF-8"]),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: str | bytes, problems: list[str]):
    """Every row that does not fit, by its line; never a value that is not in the file."""
    with pytest.raises(ConfigError) as caught:
        _rows(tmp_path, content)
    assert list(caught.value.problems) == [f"data_file: {tmp_path}/d.csv{problem}" for problem in problems]


def test_json_and_json_lines(tmp_path: Path):
    """Lists of objects and lines of them, with a mark, of any name that says so or content that looks so."""
    rows = [{"a": 1, "b": {"c": None}}, {"a": "ü"}]
    text = '[{"a": 1, "b": {"c": null}}, {"a": "ü"}]'
    assert _rows(tmp_path, "\ufeff" + text, "d.json") == rows
    assert _rows(tmp_path, text, "d.data") == rows
    assert _rows(tmp_path, '{"a": 1, "b": {"c": null}}\n\n{"a": "ü"}\n', "d.jsonl") == rows


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("d.json", '{"a": 1}', "must be a list of objects"),
        ("d.json", "[1]", "must be a list of objects"),
        ("d.json", "[", "is neither .csv nor JSON"),
        ("d.jsonl", '{"a": 1}\n[1]\n', "d.jsonl:2: must be an object"),
        ("d.ndjson", '{"a": 1}\n{\n', "d.ndjson:2: is not JSON"),
    ],
)
def test_json_that_is_no_data(tmp_path: Path, name: str, text: str, problem: str):
    """One sentence."""
    with pytest.raises(ConfigError, match=problem):
        _rows(tmp_path, text, name)


CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_another_program_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], delimiter: str, line_end: str
):
    """Any cells, quoted as Python's own writer does it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second"), *cells])
    rows = _rows(tmp_path_factory.mktemp("f"), text.getvalue())
    assert [tuple(row.values()) for row in rows] == cells
