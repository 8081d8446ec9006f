from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Timestamp
from prometheus_client.utils import floatToGoString

from perfloop_base.exposition import exemplar, format_number, head, label_set, openmetrics_head

# What Prometheus accepts as text; a surrogate cannot be encoded, and \r is a line's end to the reference parser.
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"))


@given(st.floats())
def test_numbers_are_written_as_prometheus_client_does(value: float):
    """Every float, NaN and the infinities among them."""
    assert floatToGoString(value) == format_number(value)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1.0"), (1e6, "1e+06"), (123456.5, "123456.5"), (math.inf, "+Inf"), (math.nan, "NaN")]
)
def test_some_numbers(value: float, text: str):
    """Integers have a point, from seven digits on there is an exponent."""
    assert text == format_number(value)


@given(TEXTS, TEXTS)
def test_label_values_and_help_survive(value: str, text: str):
    """What is written, prometheus_client's parser reads back, quotes and backslashes too."""
    page = f"{head('x', 'gauge', text)}x{label_set([('a', value), ('b', '')])} 1.0\n"
    [family] = parse_text(page)
    assert (family.type, family.samples[0].labels) == ("gauge", {"a": value, "b": ""})


def test_openmetrics_names_a_counter_without_total():
    """The family has no `_total`, its sample has; the exemplar points at a trace."""
    quoted = 'Orders "of" all.'
    line = f"orders_total{label_set([('shop', quoted)])} 2.0{exemplar([('trace_id', 'f00')], 0.5, 12.25)}\n"
    page = f"{openmetrics_head('orders_total', 'counter', quoted)}{line}# EOF\n"
    [family] = parse_openmetrics(page)
    assert (family.name, family.type, family.documentation) == ("orders", "counter", quoted)
    assert family.samples[0].labels == {"shop": quoted}
    kept = family.samples[0].exemplar
    assert kept is not None
    assert (kept.labels, kept.value, kept.timestamp) == ({"trace_id": "f00"}, 0.5, Timestamp(12, 250_000_000))


def test_no_labels_no_braces():
    """A series without labels has no braces, an exemplar without labels has empty ones."""
    assert (label_set([]), exemplar([], 1, 2.0)) == ("", " # {} 1.0 2.0")
