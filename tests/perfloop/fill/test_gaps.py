"""Which samples a store lacks: pure, against a naive search, and as text that VictoriaMetrics reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from perfloop.fill.gaps import Sample, batch, find_missing, find_spacing, key_of, render, select, split

MOMENTS = st.lists(st.integers(0, 400), unique=True).map(sorted)


@given(MOMENTS, MOMENTS, st.integers(1, 50))
def test_a_sample_is_missing_where_nothing_is_near(source: list[int], stored: list[int], spacing: int):
    """As a search through all finds it."""
    samples = [Sample(at, "1") for at in source]
    naive = [sample for sample in samples if not any(abs(one - sample.at) <= 0.75 * spacing for one in stored)]
    assert find_missing(samples, stored, spacing) == naive


@given(MOMENTS, st.integers(1, 50))
def test_what_is_written_is_no_longer_missing(source: list[int], spacing: int):
    """A second look finds nothing, so nothing is written twice."""
    samples = [Sample(at, "1") for at in source]
    assert find_missing(samples, [sample.at for sample in samples], spacing) == []


def test_the_other_of_the_pair_stands_in():
    """Scrapes of two Prometheus at different moments of the same interval: one of them is enough."""
    source = [Sample(at, "1") for at in range(0, 60_000, 5000)]
    assert find_missing(source, [at + 2100 for at in range(-5000, 60_000, 5000)], 5000) == []
    half = [at + 2100 for at in range(-5000, 30_000, 5000)]
    assert [sample.at for sample in find_missing(source, half, 5000)] == list(range(35_000, 60_000, 5000))


def test_the_spacing_is_the_median():
    """One gap, or one sample, does not make it longer."""
    samples = [Sample(at, "1") for at in (0, 5000, 10_000, 90_000, 95_000)]
    assert find_spacing(samples, 7) == 5000
    assert find_spacing(samples[:1], 7) == 7


@given(st.integers(0, 1000), st.integers(1, 300), st.integers(1, 100))
def test_windows_cover_the_span(start: int, length: int, window: int):
    """Without a gap, without an overlap."""
    found = list(split(start, start + length, window))
    assert [moment for one in found for moment in range(*one)] == list(range(start, start + length))


@given(st.dictionaries(st.text("ab", min_size=1), st.integers(0, 50)), st.integers(1, 60))
def test_batches_are_small_and_whole(sizes: dict[str, int], most: int):
    """Each name once; more than the limit only where one name alone is."""
    groups = list(batch(sizes, most))
    assert sorted(name for group in groups for name in group) == sorted(sizes)
    assert all(len(group) == 1 or sum(sizes[name] for name in group) <= most for group in groups)


# Names that begin with two underscores are Prometheus's own, and no stored series has one beside its name's.
@given(st.dictionaries(st.from_regex(r"(?!__)[a-z_]{1,5}", fullmatch=True), st.text(), max_size=4))
def test_the_text_says_what_was_given(labels: dict[str, str]):
    """Names, values of labels and values as Prometheus's own reader understands them; blank lines in values survive."""
    metric = {**labels, "__name__": "load:x_total"}
    text = render({key_of(metric): [Sample(1500, "NaN"), Sample(2500, "+Inf")]})
    assert text.count("\n") == 2, "one line for each sample"
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert [sample.name for sample in found] == ["load:x_total", "load:x_total"]
    assert [sample.labels for sample in found] == [labels, labels]
    assert [str(sample.value) for sample in found] == ["nan", "inf"]
    assert [sample.timestamp for sample in found] == [1.5, 2.5]


@pytest.mark.parametrize("name", ["up", "a:b:rate5m", "http.server", 'odd"name', "back\\slash"])
def test_a_selector_matches_the_name_alone(name: str):
    """Whatever a metric is called; nothing else matches."""
    found = re.fullmatch(r'\{__name__=~"(.*)"\}', select([name]))
    assert found is not None
    pattern = found[1].replace(r"\"", '"').replace("\\\\", "\\")
    assert re.fullmatch(pattern, name)
    assert not re.fullmatch(pattern, f"{name}x")
