"""Rows of test data from a CSV or JSON file, taken in turn."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

Row = Mapping[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a .csv file with a header line, or of a .json file with a list of objects.

    Raises:
        ConfigError: the file cannot be read, has another form, or holds no rows.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [f"data_file: {path}: cannot be read: {getattr(error, 'strerror', None) or error}"]
        ) from error
    rows = _csv_rows(path, text) if path.suffix == ".csv" else _json_rows(path, text)
    if not rows:
        raise ConfigError([f"data_file: {path}: holds no rows"])
    return rows


def _csv_rows(path: Path, text: str) -> list[Row]:
    try:
        # Under None the reader puts the cells that have no column.
        return [{name: cell for name, cell in row.items() if name} for row in csv.DictReader(text.splitlines())]
    except csv.Error as error:
        raise ConfigError([f"data_file: {path}: is not CSV: {error}"]) from error


def _json_rows(path: Path, text: str) -> list[Row]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"data_file: {path}: is neither .csv nor JSON: {error}"]) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError([f"data_file: {path}: must be a list of objects"])
    return rows


def feed(rows: Sequence[Row], index: int = 0, of: int = 1) -> Iterator[Row]:
    """Yield rows without end, every `of`-th from `index`, so that each row goes to one worker of several."""
    return islice(cycle(rows), index, None, of)
