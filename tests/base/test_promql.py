"""PromQL as a tree: what is asked for, how far back, and what stays the same when a part is changed."""

from __future__ import annotations

import pytest

from perfloop_base.promql import (
    Selector,
    find_problem,
    find_selectors,
    format_matchers,
    longest_range,
    native_form,
    only_series,
    quote,
    with_quantile,
    without_series,
)


@pytest.mark.parametrize(
    ("expr", "selectors"),
    [
        ("up == 0", [Selector("up", ())]),
        ('sum by (a, b) (rate(x_total{c=~"d|e",f!="g"}[5m]))', [Selector("x_total", ("c", "f"))]),
        ("histogram_quantile(0.95, sum by (le) (rate(y_bucket[1m])))", [Selector("y_bucket", ())]),
        ("a:b:c > 2 and on (service) d * 60 >= 10 unless e offset 5m", [Selector(n, ()) for n in ("a:b:c", "d", "e")]),
        ('label_replace(vllm:x, "to", "$1", "from", "(.*)")', [Selector("vllm:x", ())]),
        ('f{g="h{i}(j) and k"} or vector(1)', [Selector("f", ("g",))]),
        ('{__name__="x",y="z"}', [Selector("x", ("y",))]),
        ("rate(a[$window])", [Selector("a", ())]),
        ("1e6 + 0.5 * inf", []),
    ],
)
def test_selectors_are_names_and_labels(expr: str, selectors: list[Selector]):
    """Functions, strings, labels of groupings and words of the language are not series."""
    assert find_selectors(expr) == selectors


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [
        ("up", 0),
        ("rate(x[2m])", 120),
        ("deriv(x[30m]) + rate(y[1m])", 1800),
        ("max_over_time(rate(x[1m])[1h30m:1m])", 5400),
    ],
)
def test_the_longest_range_of_an_expression(expr: str, seconds: float):
    """Ranges of selectors and of subqueries."""
    assert longest_range(expr) == seconds


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("rat(x[1m])", "unknown function with name 'rat'"),
        ("rate(x)", "expected type matrix in call to function 'rate', got vector"),
        ('{a="1" or b="2"}', "`or` between label matchers is not PromQL of Prometheus"),
        ("rate(x[$window])", ""),
    ],
)
def test_what_is_not_promql_has_a_reason(expr: str, problem: str):
    """The parser's own sentence."""
    assert find_problem(expr) == problem


def test_a_broken_expression_is_refused_by_every_function():
    """Nothing is made of half an expression."""
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        find_selectors("rate(x[1m]")


def test_series_are_left_out_of_every_range():
    """Each function of a range loses them; what has no range keeps them."""
    changed = without_series("sum(rate(a[$window])) / sum(rate(b[5m])) * up", [{"http_route": "/x"}, {"service": "s"}])
    assert changed == (
        'sum((rate(a[$window]) unless a{http_route="/x"} unless a{service="s"}))'
        ' / sum((rate(b[5m]) unless b{http_route="/x"} unless b{service="s"})) * up'
    )


def test_nothing_to_leave_out_changes_nothing():
    """Not even a blank."""
    assert without_series("sum( rate(a[1m]) )", []) == "sum( rate(a[1m]) )"


def test_an_expression_is_narrowed_to_series():
    """The new matchers stand behind those that are there; offsets stay."""
    assert only_series('rate(a{b="c"}[$window] offset 5m) + rate(d[1m]) + up', {"http_route": "/x"}) == (
        'rate(a{b="c",http_route="/x"}[$window] offset 5m) + rate(d{http_route="/x"}[1m]) + up'
    )


def test_strings_keep_their_escapes():
    """A quote or a backslash in a value would end the string, or change the regular expression."""
    expr = r'label_replace(rate(a{b=~"\\d+",c="say \"so\""}[1m]), "d", "$1", "e", "(\\w+)\n")'
    assert only_series(expr, {"f": 'g"h\\i'}) == (
        r'label_replace(rate(a{b=~"\\d+",c="say \"so\"",f="g\"h\\i"}[1m]), "d", "$1", "e", "(\\w+)\n")'
    )


def test_a_quantile_is_exchanged_for_another():
    """Only that of histogram_quantile: another 0.95 stays."""
    assert with_quantile("histogram_quantile(0.95, sum by (le) (rate(x[1m]))) > 0.95", 0.5) == (
        "histogram_quantile(0.5, sum by (le)(rate(x[1m]))) > 0.95"
    )


def test_matchers_are_written_with_quotes():
    """No labels, no braces."""
    assert format_matchers({"a": 'b"c', "d": "e"}) == r'{a="b\"c",d="e"}'
    assert format_matchers({}) == ""
    assert quote("a\nb") == r'"a\nb"'


@pytest.mark.parametrize(
    ("classic", "native"),
    [
        (
            "histogram_quantile(0.95, sum by (service, le) (rate(x_seconds_bucket[$window])))",
            "histogram_quantile(0.95, sum by (service)(rate(x_seconds[$window])))",
        ),
        ("sum by (le) (rate(x_bucket[5m]))", "sum by ()(rate(x[5m]))"),
        ("sum(rate(x_count[1m]))", "sum(histogram_count(rate(x[1m])))"),
        (
            "rate(x_sum[1m]) / (rate(x_count[1m]) > 0)",
            "histogram_sum(rate(x[1m])) / (histogram_count(rate(x[1m])) > 0)",
        ),
        (
            r'increase(x_bucket{a="q\"\\d",b!~"\\d+"}[1h] offset 5m)',
            r'increase(x{a="q\"\\d",b!~"\\d+"}[1h] offset 5m)',
        ),
    ],
)
def test_a_query_of_classic_histograms_has_a_native_form(classic: str, native: str):
    """Buckets lose their name's ending and `le`, counts and sums are taken out of the histogram."""
    assert native_form(classic) == native
    assert find_problem(native) == ""


@pytest.mark.parametrize(
    "expr", ["up", "rate(x_total[1m])", "x_count", 'sum(rate(x_bucket{le="0.5"}[1m]))', "sum(pg_stat_activity_count)"]
)
def test_a_query_of_no_histogram_has_no_native_form(expr: str):
    """Counters, gauges whose name ends with `_count`, and single buckets."""
    assert native_form(expr) is None
