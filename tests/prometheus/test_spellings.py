"""The table of other spellings: each mistake is a sentence; its rules are PromQL, count once and know our names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_base.promql import find_problem
from perfloop_rules import spelling_rules
from perfloop_rules.spellings import WHO, Source, Spelling, read_spellings
from tests.wire.contract import read_contract

if TYPE_CHECKING:
    from pathlib import Path

# What we export nothing of, and read of others alone.
NEW = {"service_info"}
TABLE = """about: Others.
who: {service: [service, service.name, job]}
metrics:
  - metric: shop_orders_total
    type: counter
    labels: {kind: [order.kind]}
    sources:
      - {series: orders.created_total, once_per: [service]}
"""
MISTAKES = {
    "an unknown field": (
        TABLE.replace("once_per", "once-per"),
        "t.yml:8: metric shop_orders_total: source orders.created_total: unknown field 'once-per'; did you mean",
    ),
    "an unknown type": (
        TABLE.replace("type: counter", "type: summary"),
        "t.yml:5: metric shop_orders_total: type has the value 'summary'; it must be one of histogram, counter, gauge.",
    ),
    "a counter without its ending": (
        TABLE.replace("shop_orders_total", "shop_orders"),
        "t.yml:4: metric shop_orders is a counter: a counter's name ends in _total, and no other's.",
    ),
    "no sources": (TABLE.split("    sources", maxsplit=1)[0], "t.yml:4: metric shop_orders_total has no sources."),
    "an unknown unit": (
        TABLE.replace("once_per: [service]", "unit: minutes"),
        "t.yml:8: metric shop_orders_total: source orders.created_total: unit has the value 'minutes'; it must be",
    ),
    "exponential counters": (
        TABLE.replace("once_per: [service]", "form: any"),
        "t.yml:8: metric shop_orders_total: source orders.created_total: form has the value 'any'; a counter has no",
    ),
    "a name that is none": (
        TABLE.replace("orders.created_total", "'orders created'"),
        "t.yml:8: metric shop_orders_total: source orders created: a series is named with letters, digits,",
    ),
    "matchers that are none": (
        TABLE.replace("once_per: [service]", "where: kind=paid"),
        "t.yml:8: metric shop_orders_total: source orders.created_total: where has the value 'kind=paid'; it must be",
    ),
    "a label that is none": (
        TABLE.replace("kind: [order.kind]", "order.kind: [order.kind]"),
        "t.yml:6: metric shop_orders_total: 'order.kind' cannot be the name of a label here.",
    ),
    "a label of nothing": (
        TABLE.replace("[order.kind]", "[]"),
        "t.yml:6: metric shop_orders_total: kind has the value []; it must be a list of the labels it is taken from.",
    ),
    "a label that nobody defined": (
        TABLE.replace("once_per: [service]", "once_per: [pod]"),
        "t.yml:8: metric shop_orders_total: source orders.created_total: once_per names pod; its labels are service,",
    ),
    "a source twice": (
        TABLE + "      - {series: orders.created_total}\n",
        "t.yml:4: metric shop_orders_total has the source orders.created_total twice.",
    ),
    "broken YAML": (TABLE + " x: [", "t.yml:9: not valid YAML: "),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The sentence has file, line, value and rule."""
    text, sentence = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_spellings(tmp_path)
    assert [problem for problem in caught.value.problems if problem.startswith(sentence)], caught.value.problems


def test_files_add_sources_to_one_metric(tmp_path: Path) -> None:
    """A file of a person's own comes with its sources after those of a file before it; another type is refused."""
    (tmp_path / "a.yml").write_text(TABLE)
    (tmp_path / "b.yml").write_text(TABLE.replace("orders.created_total", "sales_total"))
    (spelling,) = read_spellings(tmp_path)
    assert [source.series for source in spelling.sources] == ["orders.created_total", "sales_total"]
    (tmp_path / "c.yml").write_text(TABLE.replace("counter", "gauge"))
    with pytest.raises(ConfigError, match="is a gauge here and a counter in"):
        read_spellings(tmp_path)


def test_no_table_is_no_rule(tmp_path: Path) -> None:
    """A configuration that was written before there was one goes on without it."""
    assert read_spellings(tmp_path / "spellings") == ()


NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z][a-z0-9_]{0,8}){0,3}", fullmatch=True)
LABELS = st.dictionaries(
    st.sampled_from(["service", "instance", "host", "route", "le_"]), st.lists(NAME, min_size=1, max_size=3), max_size=4
)


@settings(deadline=None)  # a busy machine takes its time
@given(
    st.lists(st.tuples(NAME, st.sampled_from([0, 3, 6, 9]), st.booleans(), LABELS), min_size=1, max_size=4),
    st.sampled_from(["histogram", "gauge"]),
)
def test_every_table_becomes_promql(rows: list[tuple[str, int, bool, dict[str, list[str]]]], kind: str) -> None:
    """Whatever names a table has: each rule is PromQL, and no two have the same name and labels."""
    who = {label: (label,) for label in ("service", "instance", "host")}
    sources = tuple(
        Source(
            name,
            f"{name} {number}",
            shift if kind == "histogram" else 0,
            native and kind == "histogram",
            "",
            (),
            who | {label: tuple(names) for label, names in labels.items()},
            ("service",),
        )
        for number, (name, shift, native, labels) in enumerate(rows)
    )
    (group,) = spelling_rules.recording_groups([Spelling("our_seconds", kind, sources, "t.yml", 1)])
    rules = group["rules"]
    assert [find_problem(rule["expr"]) for rule in rules] == [""] * len(rules)
    assert len({(rule["record"], *sorted(rule["labels"].items())) for rule in rules}) == len(rules)


def test_ours_come_first_and_earlier_sources_before_later_ones(checkout: Path) -> None:
    """Each rule leaves out what our series, without the label, or an earlier source has."""
    spellings = read_spellings(checkout / "prometheus" / "spellings")
    for group in spelling_rules.recording_groups(spellings):
        earlier: list[str] = []
        for rule in group["rules"]:
            name = rule["labels"]["spelling"]
            if name not in earlier:
                earlier.append(name)
            left_out = re.search(r'unless on \([^)]*\) \w+\{service!="",spelling=~"([^"]*)"\}$', rule["expr"])
            if left_out:  # the buckets of exponential histograms follow their whole
                patterns = left_out[1].split("|")
                assert patterns[0] == ""
                assert all(any(re.fullmatch(one, known) for one in patterns) for known in earlier[:-1]), rule


def test_what_is_recorded_is_ours(checkout: Path) -> None:
    """Names, types and labels are those of the wire contract: of another name no rule, board or signal would know."""
    ours = [metric for metrics in read_contract().values() for metric in metrics]
    for spelling in read_spellings(checkout / "prometheus" / "spellings"):
        if not spelling.file.endswith("opentelemetry.yml") or spelling.metric in NEW:
            continue
        metric = next(one for one in ours if one.covers(spelling.metric))
        assert metric.type == spelling.type, spelling.metric
        named = {label.removesuffix("?") for label in metric.labels}
        for source in spelling.sources:
            assert set(source.labels) - set(WHO) <= named, (spelling.metric, source.series)
