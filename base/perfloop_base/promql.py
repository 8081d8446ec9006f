"""PromQL read and changed as a syntax tree, by promql-parser: the only regular expression bounds its size.

Imported only by programs whose extra installs promql-parser (analyzer, stack). `$window` may stand for a range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import promql_parser as ast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WINDOW = "$window"
# A range that nobody writes: it stands for $window while an expression is parsed.
_STAND_IN = "11d10h20m54s"
# Names that nobody gives a series: they stand for a selector and for a changed part while a tree is written.
_STAND_IN_NAME = "perfloop_stand_in_name_"
_STAND_IN_SERIES = "perfloop_stand_in_series_"


_MOST_CHARACTERS = 65_536
_MOST_OPERATORS = 200
# Prometheus 3.0 gave this function its newer name; rules that are written for 2 have the older one.
_HOLT_WINTERS = re.compile(r"\bholt_winters(?=\s*\()")
_LITERAL = re.compile(r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|`[^`]*+`|#[^\n]*+""", re.DOTALL)
# The series of a classic histogram, and what makes the same number of a native one.
_CLASSIC = {"_bucket": "", "_count": "histogram_count", "_sum": "histogram_sum"}
_OF_COUNTERS = frozenset({"rate", "irate", "increase"})
_GROUPED = re.compile(r"\b(?P<word>by|without)\s{0,8}\((?P<labels>[\w\s,]{0,1000})\)")
_OPERATOR = re.compile(r"[-+*/%^(]|==|!=|<=?|>=?|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """A series by name, and the labels that its matchers name; the name is empty where only labels select."""

    name: str
    labels: tuple[str, ...]


def parse(text: str) -> ast.Expr:
    """Return the syntax tree of an expression.

    Raises:
        ValueError: the text is not PromQL; the sentence is the parser's.
    """
    _check_size(text)
    tree = ast.parse(_HOLT_WINTERS.sub("double_exponential_smoothing", text.replace(WINDOW, _STAND_IN)))
    if any(isinstance(node, ast.VectorSelector) and node.matchers.or_matchers for node in _walk(tree)):
        raise ValueError("`or` between label matchers is not PromQL of Prometheus")
    return tree


def _check_size(text: str) -> None:
    """Refuse what would take the parser minutes, or its whole stack.

    It descends once per operator and parenthesis and copies what is below: 200 of them take about a second, 100,000
    end the process. The longest expression of our own rules has 28.
    """
    if len(text) > _MOST_CHARACTERS or sum(1 for _ in _OPERATOR.finditer(_LITERAL.sub("", text))) > _MOST_OPERATORS:
        raise ValueError(
            f"an expression has at most {_MOST_OPERATORS} operators and parentheses and {_MOST_CHARACTERS} characters"
        )


def find_problem(text: str) -> str:
    """Return why a text is not PromQL, or nothing."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


def find_selectors(text: str) -> list[Selector]:
    """Return the selectors of an expression, sorted, each once.

    Raises:
        ValueError: the text is not PromQL.
    """
    found = set()
    for node in _walk(parse(text)):
        if isinstance(node, ast.VectorSelector):
            matchers = node.matchers.matchers
            names = [node.name or "", *(one.value for one in matchers if one.name == "__name__")]
            labels = {one.name for one in matchers} - {"__name__"}
            found.add(Selector(max(names), tuple(sorted(labels))))
    return sorted(found)


def longest_range(text: str) -> float:
    """Return the longest range of an expression in seconds, 0 where it has none.

    Raises:
        ValueError: the text is not PromQL.
    """
    ranges = [node.range for node in _walk(parse(text)) if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr)]
    return max((one.total_seconds() for one in ranges if one), default=0.0)


def quote(value: str) -> str:
    """Return a text as a PromQL string."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def format_matchers(labels: Mapping[str, str]) -> str:
    """Return label matchers in braces; nothing where there are no labels."""
    return "{" + ",".join(f"{name}={quote(value)}" for name, value in labels.items()) + "}" if labels else ""


def without_series(text: str, left_out: Sequence[Mapping[str, str]]) -> str:
    """Return the expression without the series that have one of these sets of labels, in every function of a range.

    Raises:
        ValueError: the text is not PromQL.
    """
    if not left_out:
        return text
    written: dict[str, str] = {}

    def wrap(node: ast.Expr) -> ast.Expr | None:
        ranges = [one for one in node.args if isinstance(one, ast.MatrixSelector)] if isinstance(node, ast.Call) else []
        if not ranges:
            return None
        name = ranges[0].vector_selector.name
        unless = "".join(f" unless {name}{format_matchers(labels)}" for labels in left_out)
        # A series that stands for the changed text, so that the tree is not walked into it.
        stand_in = f"{_STAND_IN_SERIES}{len(written)}_"
        written[stand_in] = f"({_format(node)}{unless})"
        return ast.parse(stand_in)

    changed = _format(ast.transform(parse(text), post_visit=wrap))
    return _put_back(changed, written).replace(_STAND_IN, WINDOW)


def only_series(text: str, labels: Mapping[str, str]) -> str:
    """Return the expression of the series that have these labels, in every range.

    Raises:
        ValueError: the text is not PromQL.
    """
    more = [ast.Matcher(ast.MatchOp.Equal, name, value) for name, value in labels.items()]
    ranges: list[ast.Expr] = []  # the one that is being walked

    def enter(node: ast.Expr) -> None:
        if isinstance(node, ast.MatrixSelector):
            ranges.append(node)

    def narrow(node: ast.Expr) -> ast.Expr | None:
        if isinstance(node, ast.MatrixSelector):
            ranges.pop()
        if not (ranges and isinstance(node, ast.VectorSelector)):
            return None
        node.matchers = ast.Matchers(_escape([*node.matchers.matchers, *more]))
        return ast.parse(str(node))

    return _write(ast.transform(parse(text), pre_visit=enter, post_visit=narrow))


def with_quantile(text: str, quantile: float) -> str:
    """Return the expression with another quantile in every `histogram_quantile`.

    Raises:
        ValueError: the text is not PromQL.
    """

    def change(node: ast.Expr) -> ast.Expr | None:
        if isinstance(node, ast.Call) and node.func.name == "histogram_quantile":
            return ast.parse(f"histogram_quantile({quantile:g}, {_format(node.args[1])})")
        return None

    return _write(ast.transform(parse(text), post_visit=change))


def split_quantile(text: str) -> tuple[float, str] | None:
    """Return the quantile and the buckets of a `histogram_quantile`; None where the expression is something else.

    Raises:
        ValueError: the text is not PromQL.
    """
    tree = parse(text)
    if not isinstance(tree, ast.Call) or tree.func.name != "histogram_quantile":
        return None
    quantile, buckets = tree.args
    return (quantile.val, _write(buckets)) if isinstance(quantile, ast.NumberLiteral) else None


def native_form(text: str) -> str | None:
    """Return the expression over native histograms of what it reads of classic ones; None where it reads none.

    `rate(x_bucket[5m])` becomes `rate(x[5m])` without the label `le`, `rate(x_count[5m])` the histogram_count of it and
    `rate(x_sum[5m])` its histogram_sum. What compares `le` has no native form.

    Raises:
        ValueError: the text is not PromQL.
    """
    if not any(ending in text for ending in _CLASSIC):
        return None
    read: list[str] = []

    def change(node: ast.Expr) -> ast.Expr | None:
        if not isinstance(node, ast.Call) or node.func.name not in _OF_COUNTERS:
            return None
        series = node.args[0]
        ending = _classic_ending(series)
        if not ending:
            return None
        read.append(ending)
        name = series.vector_selector.name
        # A selector is written with its name first.
        call = f"{node.func.name}({name.removesuffix(ending)}{_format(series).removeprefix(name)})"
        return ast.parse(f"{_CLASSIC[ending]}({call})" if _CLASSIC[ending] else call)

    tree = parse(text)
    compares = any(
        matcher.name == "le"
        for node in _walk(tree)
        if isinstance(node, ast.VectorSelector)
        for matcher in node.matchers.matchers
    )
    written = _write(ast.transform(tree, post_visit=change))
    return None if compares or not read else _GROUPED.sub(_without_le, written)


def _classic_ending(series: ast.Expr) -> str:
    """Return which series of a classic histogram a range selects; nothing for any other."""
    if not isinstance(series, ast.MatrixSelector):
        return ""
    name = series.vector_selector.name or ""
    return next((ending for ending in _CLASSIC if name.endswith(ending)), "")


def _without_le(found: re.Match[str]) -> str:
    labels = [label for one in found["labels"].split(",") if (label := one.strip()) and label != "le"]
    return f"{found['word']} ({', '.join(labels)})"


def _walk(expr: ast.Expr) -> list[ast.Expr]:
    nodes: list[ast.Expr] = []
    ast.walk(expr, pre_visit=nodes.append)
    return nodes


def _write(expr: ast.Expr) -> str:
    return _format(expr).replace(_STAND_IN, WINDOW)


def _format(expr: ast.Expr) -> str:
    """Return the text of a tree.

    The parser's own str() writes strings without their escapes, and braces behind every name; so each string is escaped
    once more before, and each selector is written here.
    """
    written: dict[str, str] = {}

    def replace(node: ast.Expr) -> ast.Expr | None:
        if isinstance(node, ast.StringLiteral):
            return ast.parse(quote(quote(node.val)[1:-1]))
        if not isinstance(node, ast.VectorSelector):
            return None
        stand_in = f"{_STAND_IN_NAME}{len(written)}_"
        written[stand_in + "{}"] = (node.name or "") + _format_selection(node.matchers.matchers)
        node.name, node.matchers = stand_in, ast.Matchers([])
        return ast.parse(str(node))

    return _put_back(str(ast.transform(expr, post_visit=replace)), written)


def _format_selection(matchers: Sequence[ast.Matcher]) -> str:
    return "{" + ",".join(map(str, _escape(matchers))) + "}" if matchers else ""


def _escape(matchers: Sequence[ast.Matcher]) -> list[ast.Matcher]:
    return [ast.Matcher(one.op, one.name, quote(one.value)[1:-1]) for one in matchers]


def _put_back(text: str, written: Mapping[str, str]) -> str:
    # The last first: what was written later may hold what was written before.
    for stand_in, meant in reversed(list(written.items())):
        text = text.replace(stand_in, meant)
    return text
