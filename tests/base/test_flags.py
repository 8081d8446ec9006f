from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from perfloop_base.cli import Parser
from perfloop_base.durations import parse_duration, parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.flags import add_flags, flag, read_flags, section


@dataclass(frozen=True, slots=True)
class Query:
    """Flags of a section."""

    timeout: float = flag("--query.timeout", 10.0, parse=parse_positive_duration, help="how long a query may take")
    step: float | None = flag("--query.step", None, parse=parse_duration, auto=True)
    points: int = flag("--query.points", 240, minimum=16, help="--query.points NUMBER points per series, 100% of them")


@dataclass(frozen=True, slots=True)
class Settings:
    """Flags of a program."""

    store: str = flag("--store.url", help="the database")
    query: Query = section(Query, "query")
    files: tuple[Path, ...] = flag("--rules.file", (), parse=Path, repeat=True)
    share: float = flag("--share", 0.5, minimum=0)
    insecure: bool = flag("--insecure", default=False)
    colour: bool = flag("--colour", default=True)
    kind: str = flag("--kind", "a", choices=("a", "b"))
    retries: int = field(default=2)


def parse(*argv: str) -> Settings:
    """Return what a command line sets."""
    parser = Parser(prog="program")
    add_flags(parser, Settings)
    return read_flags(Settings, parser.parse_args(argv))


def test_defaults():
    """What is not given has its default, in sections too; a field without a flag is left alone."""
    assert Settings("sqlite://") == parse("--store.url=sqlite://")


def test_every_kind_of_value():
    """Values are read as what their defaults are, or by the parser that the flag names."""
    settings = parse(
        *("--store.url", "x", "--query.timeout=1m30s", "--query.step=5s", "--query.points=16", "--share=0.25"),
        *("--rules.file=a", "--rules.file=b", "--insecure", "--no-colour", "--kind=b"),
    )
    expected = Settings(
        "x", Query(90.0, 5.0, 16), (Path("a"), Path("b")), share=0.25, insecure=True, colour=False, kind="b"
    )
    assert expected == settings


def test_auto_is_none():
    """Where `auto` is allowed, it means that the program decides."""
    assert parse("--store.url=x", "--query.step=auto").query.step is None


def test_every_problem_is_reported_together():
    """Unknown flags, missing flags and broken rules come in one error, each with the value and the rule."""
    with pytest.raises(ConfigError) as caught:
        parse(
            *("--query.timeout=0", "--query.step=soon", "--query.points=2", "--share=half", "--kind=c"),
            *("--rules.fiel", "x", "stray"),
        )
    assert caught.value.problems == (
        "unknown flag: '--rules.fiel'; did you mean --rules.file?",
        "unknown argument: 'stray'",
        "--store.url is required",
        "--query.timeout: '0' is too short: the duration must be longer than zero",
        "--query.step: 'soon' is not a duration: write numbers with units, such as 500ms, 10s, 5m or 1h30m",
        "--query.points: '2' is too small: the minimum is 16",
        "--share: 'half' is not a number",
        "--kind: 'c' is not one of a, b",
    )


@pytest.mark.parametrize("value", ["1.5", "", "1e3", "nan"])
def test_a_whole_number_is_one(value: str):
    """Where the default is an int, only whole numbers are taken."""
    with pytest.raises(ConfigError) as caught:
        parse("--store.url=x", f"--query.points={value}")
    assert str(caught.value) == f"--query.points: {value!r} is not a whole number"


def test_not_a_number_breaks_the_minimum():
    """NaN is no number of at least anything."""
    with pytest.raises(ConfigError) as caught:
        parse("--store.url=x", "--share=nan")
    assert str(caught.value) == "--share: 'nan' is too small: the minimum is 0"


def test_help_names_defaults():
    """The help has each flag with its default, written as the user would write it."""
    parser = Parser(prog="program", formatter_class=lambda prog: argparse.HelpFormatter(prog, width=200))
    add_flags(parser, Settings)
    lines = " ".join(parser.format_help().split())
    for text in (
        "--store.url TEXT the database (required)",
        "--query.timeout DURATION how long a query may take (default: 10s)",
        "--query.step DURATION (default: auto)",
        "--query.points NUMBER points per series, 100% of them (default: 240)",
        "--kind {a,b} (default: a)",
        "--rules.file FILE",
    ):
        assert text in lines


@dataclass(frozen=True, slots=True)
class Spread:
    """A flag whose value may be left out."""

    cluster: str = flag("--cluster", "", alone="local", help="where")


@pytest.mark.parametrize(
    ("argv", "cluster"), [([], ""), (["--cluster"], "local"), (["--cluster", "x"], "x"), (["--cluster=x"], "x")]
)
def test_a_flag_that_may_stand_alone(argv: list[str], cluster: str):
    """Not given, given alone, given with a value."""
    parser = Parser(prog="program")
    add_flags(parser, Spread)
    assert read_flags(Spread, parser.parse_args(argv)) == Spread(cluster)
