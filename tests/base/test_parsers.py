"""Every parser of the base package and of the rules, fed with any text: its documented errors alone, in linear time."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_base import promql
from perfloop_base.addresses import parse_address
from perfloop_base.durations import format_duration, parse_duration, parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_base.exposition import escape, exemplar, format_number, label_set
from perfloop_base.home import parse_port
from perfloop_base.located import is_duration, parse_located
from perfloop_base.quantities import quantity, span
from perfloop_base.slos import parse_slos
from perfloop_base.thresholds import parse_thresholds
from perfloop_base.units import measure
from perfloop_rules.check import check_rule_files
from perfloop_rules.notifications import check_notifications
from perfloop_rules.packs import read_packs
from perfloop_rules.runbook import render_page
from perfloop_rules.series import read_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = st.text(st.characters())  # lone surrogates and control characters among them
# Pieces that the grammars know, so that not every example ends at its first character.
WORDS = re.findall(
    r"\S+",
    """[ ] { } ( ) : , - & * << !!int !!timestamp !!binary !!float !!bool !!set !!omap ! | > ? # % @ ` " ' signals slos
    window 30d overrides limits groups rules alert record expr for labels name up 1 1.5 0x1F .inf .nan 1e400 -1 null
    true ~ 2001-01-01 5m ms s h y 9 . + * ^ == =~ bool by sum rate( [5m] offset $window $within and or unless
    ="x" {a="b"} \\ [::1] :0 65536 receivers route routes to a@b""",
)
PIECES = st.lists(
    st.sampled_from([*(f"{word} " for word in WORDS), "\n", "\n- ", "\n  ", "\u202e", "\ud800", "\0"]) | TEXT
).map("".join)
NUMBERS = st.floats() | st.integers(-(10**9), 10**9).map(float)


def documented(errors: tuple[type[Exception], ...], function: Callable[..., Any], *arguments: object) -> None:
    """Call a parser; whatever it raises must be one of its documented errors, with a printable sentence."""
    try:
        function(*arguments)
    except errors as error:
        sentence = str(error)
    else:
        return
    assert 0 < len(sentence) < 100_000


@given(TEXT | PIECES)
def test_values_of_flags(text: str):
    """Addresses, durations and ports are a value or one ValueError or ConfigError."""
    for parser in (parse_address, parse_duration, parse_positive_duration):
        documented((ValueError,), parser, text)
    documented((ConfigError,), parse_port, "PERFLOOP_DEMO_PORT", text)
    assert is_duration(text) in {True, False}
    measure(text)


@given(PIECES | TEXT)
@settings(max_examples=300)
def test_files(text: str):
    """A hand-written file is read, or its problems are ConfigErrors, whatever its YAML holds."""
    for parser in (parse_thresholds, parse_slos):
        documented((ConfigError,), parser, text, "f.yml")
    documented((ConfigError,), parse_located, text, "f.yml", [])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(("30d", "5m", "above", "red")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
THRESHOLD_NAMES = st.sampled_from(
    (
        "signal",
        "title",
        "component",
        "kind",
        "unit",
        "direction",
        "warning",
        "critical",
        "for",
        "by",
        "record",
        "expr",
        "goal",
    )
)
SLO_NAMES = st.sampled_from(("slo", "title", "alert", "objective", "within", "total", "bad", "good", "minimum_events"))


@given(st.lists(st.dictionaries(THRESHOLD_NAMES, VALUES) | VALUES, max_size=3), VALUES, VALUES)
def test_files_with_values_of_any_type(signals: list[Any], overrides: object, limits: object):
    """A value of the wrong type, of any depth or size, is a problem with its line and no crash."""
    # YAML holds JSON, apart from numbers that it writes in another way.
    text = json.dumps({"signals": signals, "overrides": overrides, "limits": limits})
    documented((ConfigError,), parse_thresholds, text.replace("NaN", ".nan").replace("Infinity", ".inf"), "f.yml")


@given(st.lists(st.dictionaries(SLO_NAMES, VALUES) | VALUES, max_size=3))
def test_slos_with_values_of_any_type(slos: list[Any]):
    """The same for objectives."""
    documented((ConfigError,), parse_slos, json.dumps({"window": "30d", "slos": slos}), "f.yml")


@given(PIECES | TEXT)
@settings(max_examples=300)
def test_promql(text: str):
    """What is not PromQL is a ValueError."""
    assert isinstance(promql.find_problem(text), str)
    for function in (promql.find_selectors, promql.longest_range):
        documented((ValueError,), function, text)
    documented((ValueError,), promql.only_series, text, {"a": text})
    documented((ValueError,), promql.with_quantile, text, 0.5)
    if not promql.find_problem(f"up{{a={promql.quote('x')}}}"):
        assert promql.find_problem(f"up{{a={promql.quote(text.encode(errors='replace').decode())}}}") == ""


@given(NUMBERS, st.sampled_from(("seconds", "bytes", "bytes_per_second", "ratio", "per_second", "number", "", "cores")))
def test_numbers_are_written(value: float, unit: str):
    """Every float can be written for people and for Prometheus."""
    assert quantity(value, unit)
    assert span(value)
    text = format_number(value)
    assert float(text) == value or value != value  # noqa: PLR0124 # not a number
    documented((ValueError,), format_duration, value)


@given(st.lists(st.tuples(TEXT, TEXT)), NUMBERS)
def test_the_exposition_format_is_one_line(labels: list[tuple[str, str]], value: float):
    """No label value ends its line or its quotes."""
    assert all("\n" not in escape(text) for _, text in labels)
    named = [(f"l{at}", text) for at, (_, text) in enumerate(labels)]
    assert "\n" not in label_set(named)
    assert "\n" not in exemplar(named, value, 1.0)


@given(PIECES | TEXT)
@settings(max_examples=60)
def test_files_of_rules(tmp_path_factory: pytest.TempPathFactory, text: str):
    """Rule files, Alertmanager's file, packs and the runbook give sentences, not exceptions."""
    root: Path = tmp_path_factory.mktemp("parsers")
    content = text.encode(errors="surrogatepass")
    for place in ("prometheus/rules/a.yml", "prometheus/alerts/b.yml", "packs/c.yml", "alertmanager.yml"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(content)
    assert isinstance(check_rule_files(root), list)
    assert isinstance(check_notifications(root / "alertmanager.yml"), list)
    documented((ConfigError,), read_packs, root / "packs", parse_thresholds("signals: []", "t.yml"))
    assert isinstance(render_page(text), str)
    (root / "series.txt").write_text(text.encode(errors="replace").decode(), encoding="utf-8")
    assert isinstance(read_series(root / "series.txt"), dict)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 9)}]\n" for at in range(1, 12))
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{at}: &a{at} {{<<: [{', '.join([f'*a{at - 1}'] * 9)}]}}\n" for at in range(1, 12)
)
DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * DEEP,
        "{a: " * DEEP,
        "signals: " + "[" * DEEP + "]" * DEEP,
        f"{BOMB}signals: [{{signal: *a11, title: *a11, by: *a11, warning: *a11}}]",
        f"{BOMB}signals: *a11",
        f"{BOMB}? *a11\n: 1\nsignals: []",
        f"{MERGES}signals: [*a11]",
        "a: &a {<<: *a}",
        "signals: &a [*a]",
        "signals: !!timestamp x",
        "signals: !!bool maybe",
        "signals: !!int ''",
        f"signals: [{{signal: a, goal: 1{'0' * 400}}}]",
        f"signals: [{{signal: a, goal: 1{'0' * 5000}}}]",
        "signals: \ud800",
        "a: {<<: [1, 2]}",
    ],
    ids=lambda text: text[:24],
)
def test_files_made_to_end_the_process(text: str):
    """Deep nesting, aliases of aliases and merges of merges are sentences at once, not a crash or minutes."""
    before = time.process_time()
    for parser in (parse_thresholds, parse_slos):
        with pytest.raises(ConfigError) as caught:
            parser(text, "f.yml")
        assert len(str(caught.value)) < 20_000
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    "text",
    [
        "(" * DEEP + "up" + ")" * DEEP,
        "-" * DEEP + "up",
        "up+" * DEEP + "1",
        "abs(" * 500 + "up" + ")" * 500,
        "a" * DEEP,
    ],
    ids=["parentheses", "signs", "sums", "calls", "name"],
)
def test_expressions_made_to_end_the_process(text: str):
    """An expression that would take the parser's whole stack, or minutes, is refused at once in one sentence."""
    before = time.process_time()
    assert promql.find_problem(text) == "an expression has at most 200 operators and parentheses and 65536 characters"
    assert time.process_time() - before < 2


def test_signs_in_strings_are_no_operators():
    """What a string or a comment holds nests nothing."""
    assert promql.find_problem('up{a="' + "(" * 1000 + '"} # ' + "+" * 1000) == ""


@pytest.mark.parametrize("unit", ["9", "9s", "1h30m", "[", ":", "a:", " ", ".", "-", "1.", "_ms"])
def test_long_values_cost_linear_time(unit: str):
    """Half a megabyte on a flag is refused in a sentence of bounded length, without a second of work."""
    text = unit * (500_000 // len(unit)) + "!"
    before = time.process_time()
    for parser in (parse_address, parse_duration):
        with pytest.raises(ValueError, match=r"is not|is too long") as caught:
            parser(text)
        assert len(str(caught.value)) < 400
    measure(text)
    assert not is_duration(text)
    assert time.process_time() - before < 2


def test_a_duration_is_finite():
    """The longest duration is Prometheus's own: more would be infinite for those who count with it."""
    assert parse_duration("292y") == 292 * 31_536_000
    with pytest.raises(ValueError, match="is not a length of time"):
        format_duration(1.797e305)
    for text in ("293y", f"{'9' * 400}s"):
        with pytest.raises(ValueError, match="is too long: a duration is at most 292y, as in Prometheus"):
            parse_duration(text)
