"""Rows of test data from a CSV, JSON or JSON Lines file, taken in turn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.addresses import is_http
from perfloop_loadgen.config.texts import read_text

if TYPE_CHECKING:
    from pathlib import Path

Row = Mapping[str, Any]

# The column of a file that is nothing but URLs or paths, one a line.
URL = "url"
_DELIMITERS = ",;\t|"
# In a file of one column every character belongs to its cells: this one, the unit separator, is in no text.
_NO_DELIMITER = "\x1f"
_MOST_PROBLEMS = 10
# How many rows say which delimiter a file has.
_SAMPLE_ROWS = 20
_LINES = (".jsonl", ".ndjson")
# The reader's own limit of 131,072 characters is less than a prompt or a document may have.
_LONGEST_CELL = 64 * 1024 * 1024


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file: CSV with a header line, a JSON list of objects, or JSON Lines.

    A file ending in .json, .jsonl or .ndjson is JSON; any other is CSV, unless it begins as JSON does. The delimiter of
    CSV may be a comma, a semicolon, a tab or a vertical bar; cells are texts, and line breaks in quotes belong to them.
    A file without a header that begins with a URL or a path has one column: `url`.

    Raises:
        ConfigError: the file cannot be read, has another form, or holds no rows; with every row that does not fit.
    """
    what = f"data_file: {path}"
    text = read_text(path, what)
    suffix = path.suffix.lower()
    if not text.strip():
        raise ConfigError(f"{what}: is empty")
    if suffix in _LINES:
        rows = _json_lines(what, text)
    elif suffix == ".json" or (suffix not in {".csv", ".tsv"} and text.lstrip()[0] in "[{"):
        rows = _json_rows(what, text)
    else:
        rows = _csv_rows(what, text)
    if not rows:
        raise ConfigError(f"{what}: holds no rows")
    return rows


def columns_of(rows: Sequence[Row]) -> set[str]:
    """Return the names that any row has a value for."""
    return set().union(*(row.keys() for row in rows))


def _csv_rows(what: str, text: str) -> list[Row]:
    begin = text.lstrip()
    if begin.startswith("/") or is_http(begin):
        return [{URL: line.strip()} for line in text.split("\n") if line.strip()]
    delimiter, text, before = _find_delimiter(text)
    reader = _reader(text, delimiter)
    rows: list[Row] = []
    problems: list[str] = []
    try:
        header = _read_header(what, next(reader))
        width = len(header)
        for cells in reader:
            if not cells:
                continue  # an empty line
            if len(cells) != width and (len(cells) < width or any(cells[width:])):
                line = reader.line_num + before
                problems.append(f"{what}:{line}: has {_cells(len(cells))} for {width} columns ({', '.join(header)})")
                if len(problems) == _MOST_PROBLEMS:
                    break
            # A column without a name is what a delimiter at the end of each line leaves.
            rows.append({name: cell for name, cell in zip(header, cells, strict=False) if name})
    except csv.Error as error:
        raise ConfigError(f"{what}:{reader.line_num + before}: is not CSV: {error}") from error
    if problems:
        raise ConfigError(problems)
    return rows


def _cells(number: int) -> str:
    return f"{number} cell{'' if number == 1 else 's'}"


def _read_header(what: str, cells: Sequence[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ConfigError([f"{what}: the column {name!r} stands twice in the first line" for name in twice])
    if not any(header):
        raise ConfigError(f"{what}: the first line must name the columns")
    return header


def _find_delimiter(text: str) -> tuple[str, str, int]:
    """Return the delimiter, the text from the header on, and the number of lines before it.

    The delimiter is the one that splits the header and leaves most of the first rows with as many cells. A spreadsheet
    may say it in a line of its own: `sep=;`.
    """
    before = 0
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == len("sep=;"):
        return first[4], rest, 1
    while rest and not first.strip():  # empty lines above the header
        text, before = rest, before + 1
        first, _, rest = text.partition("\n")
    scores = {delimiter: _score(text, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: scores[delimiter])
    return (best if scores[best][0] else _NO_DELIMITER), text, before


def _score(text: str, delimiter: str) -> tuple[bool, float, int]:
    """Return whether the header has several columns, the share of rows that are as long, and its columns."""
    try:
        sample = list(islice(_reader(text, delimiter, strict=False), 1 + _SAMPLE_ROWS))
    except csv.Error:
        return False, 0.0, 0
    columns = len(sample[0]) if sample else 0
    rows = [row for row in sample[1:] if row]
    fitting = sum(len(row) == columns for row in rows)
    return columns > 1, fitting / len(rows) if rows else 1.0, columns


def _reader(text: str, delimiter: str, *, strict: bool = True) -> Any:
    csv.field_size_limit(_LONGEST_CELL)
    # Not by splitlines(): it also splits at U+2028, form feeds and others, and inside of quotes.
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)


def _json_rows(what: str, text: str) -> list[Row]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{what}: is neither .csv nor JSON: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{what}: must be a list of objects")
    return rows


def _json_lines(what: str, text: str) -> list[Row]:
    rows: list[Row] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            row = None
            problems.append(f"{what}:{number}: is not JSON: {error}")
        else:
            if not isinstance(row, dict):
                problems.append(f"{what}:{number}: must be an object")
        if len(problems) == _MOST_PROBLEMS:
            break
        rows.append(row)
    if problems:
        raise ConfigError(problems)
    return rows


def feed(rows: Sequence[Row], index: int = 0, of: int = 1) -> Iterator[Row]:
    """Yield rows without end, every `of`-th from `index`, so that each row goes to one worker of several."""
    return islice(cycle(rows), index, None, of)
