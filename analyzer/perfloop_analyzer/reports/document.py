"""A report as it is written down in any form: headlines, and sections of facts, tables and pictures.

Builders fill it; rendering.py turns it into HTML, Markdown and JSON. Every text in it is plain: what writes it escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.reports.window import Window

SCHEMA_VERSION = 1
MOST_ROWS = 100  # of a table that is shown; the JSON form has them all


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text, its mood (a class of the pages' style), and what is said below it in small."""

    text: str
    mood: str = ""
    small: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; `empty` is said where there are none, `more` rows were left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    empty: str = "None."
    title: str = ""
    more: int = 0

    def shortened(self, most: int) -> Table:
        """Return the table with so many rows at most."""
        left_out = max(0, len(self.rows) - most)
        return Table(self.columns, self.rows[:most], self.empty, self.title, self.more + left_out)


@dataclass(frozen=True, slots=True)
class Fact:
    """One number that stands out: its name, its value in words, its mood."""

    name: str
    value: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot: its title, and an SVG that perfloop_base.plots drew."""

    title: str
    svg: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report; `unknown` are sentences about what it could not find out."""

    anchor: str
    title: str
    points: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        kind: alerts, capacity, optimization or weekly.
        made: When it was made, in Unix seconds.
        headlines: What a reader must know who reads nothing else; a message has these alone.
        data: The figures for programs, by part.
    """

    kind: str
    title: str
    window: Window
    made: float
    headlines: tuple[str, ...]
    sections: tuple[Section, ...]
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The title with the span."""
        return f"{self.title}, {self.window.words}"

    @property
    def unknown(self) -> tuple[str, ...]:
        """What no section could find out, each sentence once."""
        return tuple(dict.fromkeys(sentence for section in self.sections for sentence in section.unknown))

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; docs/schemas/report.schema.json describes it."""
        return {
            "schema": SCHEMA_VERSION,
            "report": self.kind,
            "title": self.title,
            "from": _iso(self.window.start),
            "to": _iso(self.window.end),
            "time_zone": self.window.zone.key,
            "made": _iso(self.made),
            "headlines": list(self.headlines),
            "unknown": list(self.unknown),
            **self.data,
        }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
