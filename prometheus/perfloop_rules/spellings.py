"""The table of other spellings, `spellings/*.yml`: which foreign series mean which of our metrics, and by which labels.

A name in the table is OpenTelemetry's, with dots; it stands for the form with underscores too. What is read here
becomes recording rules in `spelling_rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.located import LABEL_PATTERN, Entry, Field, read_located, show_path
from perfloop_base.promql import find_problem
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Names = tuple[str, ...]
TYPES = ("histogram", "counter", "gauge")
# Powers of ten between a unit and the base unit: bounds are shifted by digits, which PromQL can do with a label's text.
UNITS = {"base": 0, "milliseconds": 3, "microseconds": 6, "nanoseconds": 9}
FORMS = ("classic", "any")
# What one process is, where a source says nothing else.
WHO: Names = ("service", "instance", "host")
ONCE_PER: Names = ("service", "instance")
FILE_FIELDS = ("about", "who", "metrics")
METRIC_FIELDS = (
    Field(name="metric", kind="metric", about="our name, without _bucket, _count and _sum"),
    Field(name="type", kind="choice", choices=TYPES, about="what it is"),
    Field(name="labels", kind="mapping", about="our labels, each with the labels that it is taken from, best first"),
)
SOURCE_FIELDS = (
    Field(name="series", about="the foreign name, with its unit, without _bucket, _count and _sum"),
    Field(name="unit", kind="choice", choices=tuple(UNITS), required=False, default="base", about="of its values"),
    Field(
        name="form",
        kind="choice",
        choices=FORMS,
        required=False,
        default="classic",
        about="any: exponential (native) histograms are read too",
    ),
    Field(name="named", required=False, default="", about="what it is called, where one series is several sources"),
    Field(name="where", required=False, default="", about="label matchers that select among its series"),
    Field(name="needs", kind="labels", required=False, about="our labels without which a series is something else"),
    Field(name="labels", kind="mapping", required=False, about="as the metric's, for this source alone"),
    Field(name="who", kind="mapping", required=False, about="as the file's, for this source alone"),
    Field(
        name="once_per",
        kind="labels",
        required=False,
        about="among what our own series, or an earlier source, takes the place of this one",
    ),
)
_LABEL = re.compile(LABEL_PATTERN)
_FOREIGN = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.]*")


@dataclass(frozen=True, slots=True)
class Source:
    """One foreign series that means one of our metrics.

    Attributes:
        series: its name with dots, without the endings of a histogram.
        name: what the label `spelling` says: the series, unless it is several sources.
        shift: how many digits its values are to be shifted right to be in base units.
        is_native_too: whether exponential histograms of this name are read.
        where: label matchers as PromQL, without braces; empty for all.
        needs: those of our labels without which a series of this name is something else.
        labels: for each of our labels those it is taken from, best first; the labels of WHO come first.
        once_per: it is left out where our own series, or an earlier source, has one with the same values of these.
    """

    series: str
    name: str
    shift: int
    is_native_too: bool
    where: str
    needs: Names
    labels: Mapping[str, Names]
    once_per: Names


@dataclass(frozen=True, slots=True)
class Spelling:
    """One of our metrics with its foreign sources, the one that counts first before the others."""

    metric: str
    type: str
    sources: tuple[Source, ...]
    file: str
    line: int


def read_spellings(directory: Path) -> tuple[Spelling, ...]:
    """Return the metrics of every file of a directory, those of one name joined; none where there is no directory.

    Raises:
        ConfigError: with every problem of every file.
    """
    problems: list[str] = []
    found: dict[str, Spelling] = {}
    for path in sorted(directory.glob("*.yml")):
        for spelling in _read_file(path, problems):
            first = found.get(spelling.metric)
            if first is not None and first.type != spelling.type:
                problems.append(
                    f"{spelling.file}:{spelling.line}: metric {spelling.metric} is a {spelling.type} here"
                    f" and a {first.type} in {first.file}."
                )
            found[spelling.metric] = _join(first, spelling) if first else spelling
    problems += [problem for spelling in found.values() for problem in _find_doubles(spelling)]
    if problems:
        raise ConfigError(problems)
    return tuple(found.values())


def _join(first: Spelling, second: Spelling) -> Spelling:
    return Spelling(first.metric, first.type, first.sources + second.sources, first.file, first.line)


def _find_doubles(spelling: Spelling) -> list[str]:
    names = [source.name for source in spelling.sources]
    return [
        f"{spelling.file}:{spelling.line}: metric {spelling.metric} has the source {name} twice."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _read_file(path: Path, problems: list[str]) -> list[Spelling]:
    try:
        root = read_located(path, problems)
    except ConfigError as error:
        problems += error.problems
        return []
    root.allow(FILE_FIELDS, "the file")
    who = {label: (label,) for label in WHO} | _read_labels(root, "who", "the file")
    return [_read_metric(entry, who, show_path(path)) for entry in root.mappings("metrics")]


def _read_metric(entry: Entry, who: Mapping[str, Names], file: str) -> Spelling:
    what = entry.title("metric", "metric")
    own = Entry(entry.file, entry.line, entry.problems)
    own.update({key: value for key, value in entry.items() if key != "sources"})
    own.lines = entry.lines
    values = own.read(METRIC_FIELDS, what)
    name, kind = str(values["metric"]), str(values["type"])
    if (kind == "counter") != name.endswith("_total"):
        entry.report(f"{what} is a {kind}: a counter's name ends in _total, and no other's.", "metric")
    sources = entry.mappings("sources")
    if not sources:
        entry.report(f"{what} has no sources.")
    labels = dict(who) | _read_labels(entry, "labels", what)
    return Spelling(name, kind, tuple(_read_source(one, kind, labels, what) for one in sources), file, entry.line)


def _read_source(entry: Entry, kind: str, labels: Mapping[str, Names], metric: str) -> Source:
    what = f"{metric}: {entry.title('source', 'series')}"
    values = entry.read(SOURCE_FIELDS, what)
    series = str(values["series"])
    if not _FOREIGN.fullmatch(series):
        entry.report(f"{what}: a series is named with letters, digits, underscores, colons and dots.", "series")
    if values["unit"] != "base" and kind == "gauge":
        entry.report(f"{what}: unit has the value {values['unit']!r}; a gauge is recorded as it is.", "unit")
    if values["form"] == "any" and kind != "histogram":
        entry.report(f"{what}: form has the value 'any'; a {kind} has no other form.", "form")
    where = values["where"]
    if where and (problem := find_problem(f"x{{{where}}}").rstrip(".")):
        entry.report(f"{what}: where has the value {where!r}; it must be label matchers: {problem}.", "where")
    labels = dict(labels) | _read_labels(entry, "who", what) | _read_labels(entry, "labels", what)
    needs, once_per = tuple(values["needs"] or ()), tuple(values["once_per"] or ONCE_PER)
    for key, names in (("needs", needs), ("once_per", once_per)):
        unknown = [name for name in names if name not in labels]
        if unknown:
            entry.report(f"{what}: {key} names {', '.join(unknown)}; its labels are {', '.join(labels)}.", key)
    name = values["named"] or series
    return Source(series, name, UNITS[values["unit"]], values["form"] == "any", where, needs, labels, once_per)


def _read_labels(entry: Entry, key: str, what: str) -> dict[str, Names]:
    """Return the labels under a key, each with those it is taken from."""
    labels = entry.get(key)
    if not isinstance(labels, Entry):
        if labels is not None:
            entry.report(f"{what}: {key} must be a mapping of labels.", key)
        return {}
    for label, sources in labels.items():
        if not _LABEL.fullmatch(str(label)) or label == "le":
            labels.report(f"{what}: {label!r} cannot be the name of a label here.", label)
        if not isinstance(sources, list) or not sources or not all(_is_foreign(one) for one in sources):
            labels.report(
                f"{what}: {label} has the value {brief(sources)}; it must be a list of the labels it is taken from.",
                label,
            )
    return {
        str(label): tuple(map(str, sources)) if isinstance(sources, list) else () for label, sources in labels.items()
    }


def _is_foreign(name: object) -> bool:
    return isinstance(name, str) and _FOREIGN.fullmatch(name) is not None
