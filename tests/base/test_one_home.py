"""What programs or packages share is written once, most of it in perfloop_base; a second place fails here."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perfloop_base.units import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("base", "exporter", "analyzer", "loadgen", "prometheus", "grafana", "alertmanager", "demo", "perfloop")
WRITTEN = {suffix.written for suffix in SUFFIXES}
TIME_UNITS = {"ms", "s", "m", "h", "d", "w"}
# A number made larger or smaller for a person, and what then stands behind it.
SCALES = {100, 1000, 1e6, 1e9, 1024}
UNIT_BEHIND = re.compile(r" ?((ms|µs|us|kB|MB|GB)\b|%)")


@cache
def modules() -> dict[str, list[ast.AST]]:
    """Return the nodes of every module of the programs, by its path in the checkout."""
    return {
        str(path.relative_to(CHECKOUT)): list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        for source in SOURCES
        for path in sorted((CHECKOUT / source).rglob("*.py"))
    }


def where(found: Callable[[ast.AST], bool]) -> set[str]:
    """Return the modules in which any node is what is looked for."""
    return {path for path, nodes in modules().items() if any(map(found, nodes))}


def defines(*names: str) -> Callable[[ast.AST], bool]:
    """Match a function or class of one of these names."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return lambda node: isinstance(node, kinds) and node.name in names


def calls(*names: str) -> Callable[[ast.AST], bool]:
    """Match a call of a function by the end of its name."""
    return lambda node: isinstance(node, ast.Call) and ast.unparse(node.func) in names


def says(pattern: str) -> Callable[[ast.AST], bool]:
    """Match a string, docstrings apart, in which the pattern is found."""
    return lambda node: (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(re.search(pattern, node.value))
    )


def names_of(node: ast.AST) -> Iterator[object]:
    """Yield the constants that a display or a call in it holds at any depth."""
    if isinstance(node, (ast.Dict, ast.Tuple, ast.List, ast.Set)):
        yield from (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant))


def table_of(words: set[str], at_least: int) -> Callable[[ast.AST], bool]:
    """Match a table that holds that many of the words."""
    return lambda node: len(words & {name for name in names_of(node) if isinstance(name, str)}) >= at_least


def number(value: float) -> Callable[[ast.AST], bool]:
    """Match a number."""
    return lambda node: isinstance(node, ast.Constant) and type(node.value) is float and node.value == value


def prints_a_unit(node: ast.AST) -> bool:
    """Match a text in which a scaled number has its unit behind it, as in f"{seconds * 1000:.1f} ms"."""
    if not isinstance(node, ast.JoinedStr):
        return False
    pairs = zip(node.values, node.values[1:], strict=False)
    return any(
        isinstance(one, ast.FormattedValue)
        and isinstance(one.value, ast.BinOp)
        and isinstance(one.value.op, (ast.Mult, ast.Div))
        and any(isinstance(side, ast.Constant) and side.value in SCALES for side in (one.value.left, one.value.right))
        and isinstance(behind, ast.Constant)
        and UNIT_BEHIND.match(str(behind.value)) is not None
        for one, behind in pairs
    )


BASE = "base/perfloop_base"
HOMES = [
    ("the table of suffixes", table_of(WRITTEN, 4), {f"{BASE}/units.py"}),
    ("durations", defines("parse_duration", "format_duration"), {f"{BASE}/durations.py"}),
    ("the table of time units", table_of(TIME_UNITS, 4), {f"{BASE}/durations.py"}),
    ("addresses", defines("Address", "parse_address", "split_address", "listen_address"), {f"{BASE}/addresses.py"}),
    ("quantities", defines("quantity"), {f"{BASE}/quantities.py"}),
    ("numbers with their unit", prints_a_unit, set()),
    ("SVG", says(r"<(svg|polyline)\b"), {f"{BASE}/plots.py"}),
    ("the exposition format", says(r"^# (HELP|TYPE) "), {f"{BASE}/exposition.py"}),
    ("numbers as Go writes them", defines("format_float", "format_number"), {f"{BASE}/exposition.py"}),
    ("the exit codes", defines("ExitCode"), {f"{BASE}/errors.py"}),
    ("log set-up", calls("logging.basicConfig", "logging.StreamHandler"), {f"{BASE}/logs.py"}),
    ("the parser of command lines", calls("argparse.ArgumentParser", "typer.Typer"), set()),
    ("timers", defines("TimedBlock", "TimeMeasurement"), {"exporter/perfloop_exporter/metrics/timing.py"}),
    ("burn rates", defines("BurnRate", "BurnWindow"), {f"{BASE}/burn_rates.py"}),
    ("burn rates in numbers", number(14.4), set()),
    ("readers of thresholds.yml", defines("read_thresholds", "parse_thresholds"), {f"{BASE}/thresholds.py"}),
    ("readers of slos.yml", defines("read_slos", "parse_slos"), {f"{BASE}/slos.py"}),
    ("readers of prices.yml", defines("read_prices", "parse_prices"), {f"{BASE}/prices.py"}),
]


@pytest.mark.parametrize(("found", "homes"), [home[1:] for home in HOMES], ids=[home[0] for home in HOMES])
def test_an_idea_has_one_home(found: Callable[[ast.AST], bool], homes: set[str]):
    """Each idea is found where it lives, so that the search is known to work, and nowhere else."""
    assert homes == where(found)


def test_shared_files_have_one_reader():
    """A program that names thresholds.yml, slos.yml or prices.yml leaves their YAML to the base package."""
    assert where(says(r"\b(thresholds|slos|prices)\.yml$"))
    assert where(says(r"\b(thresholds|slos|prices)\.yml$")) & where(calls("yaml.safe_load", "yaml.load")) == set()


def test_templates_draw_nothing():
    """Plots come from the one plotter, in pages too."""
    pages = [path for source in SOURCES for path in (CHECKOUT / source).rglob("perfloop_*/**/*.html")]
    assert pages
    assert [str(path) for path in pages if re.search(r"<(svg|polyline)\b", path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('UNITS = {"_ms": 0.001, "_s": 1, "_percent": 0.01, "_mb": 1e6}', table_of(WRITTEN, 4)),
        ('UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}', table_of(TIME_UNITS, 4)),
        ('x = f"{seconds * 1000:.1f} ms"', prints_a_unit),
        ('x = f"{100 * ratio:g} % of"', prints_a_unit),
        ('x = f"{free / 1e6:.0f} MB"', prints_a_unit),
        ("class ExitCode(IntEnum): OK = 0", defines("ExitCode")),
    ],
)
def test_a_second_home_is_found(source: str, found: Callable[[ast.AST], bool]):
    """What the searches are for, they find."""
    assert any(map(found, ast.walk(ast.parse(source))))
