"""What people write to silence something: read exactly, or refused in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_inbox.silences import Matcher, build_silence, parse_matchers, show_labels

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
WISH = {"matchers": 'alertname="A"', "duration": "2h", "author": "ann", "comment": "being fixed"}


def test_every_kind_of_matcher_is_read():
    """With and without braces, as `amtool` and Alertmanager's own pages write them."""
    found = parse_matchers('{alertname="A", pod!="b, c", route=~"/v1/.+",zone!~"eu|us"}')
    assert found == (
        Matcher("alertname", "A"),
        Matcher("pod", "b, c", is_equal=False),
        Matcher("route", "/v1/.+", is_regex=True),
        Matcher("zone", "eu|us", is_regex=True, is_equal=False),
    )
    assert parse_matchers("") == parse_matchers("{}") == ()


@given(st.text(max_size=40))
def test_any_value_of_a_label_survives(value: str):
    """Quotes, backslashes and line ends included: the link silences that alert and no other."""
    assert parse_matchers(show_labels({"alertname": value})) == (Matcher("alertname", value),)


def test_labels_that_only_sort_are_left_out():
    """A silence of the critical alert is one of its warning as well."""
    labels = {"alertname": "A", "severity": "critical", "owner": "api", "pool": "a"}
    assert show_labels(labels) == '{alertname="A", pool="a"}'


def test_a_wish_becomes_a_silence():
    """With its end, who asked for it and why."""
    silence = build_silence(WISH, NOON)
    assert silence["matchers"] == [{"name": "alertname", "value": "A", "isRegex": False, "isEqual": True}]
    assert (silence["startsAt"], silence["endsAt"]) == ("2026-11-29T12:00:00+00:00", "2026-11-29T14:00:00+00:00")
    assert (silence["createdBy"], silence["comment"]) == ("ann", "being fixed")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"matchers": "alertname=A"}, "The filter has 'alertname=A'; a matcher must be"),
        ({"matchers": ""}, "A silence needs a matcher such as"),
        ({"matchers": 'alertname!="A"'}, "A silence needs a matcher such as"),
        ({"duration": "long"}, "duration has the value 'long'; it must be a time such as 30m, 2h or 1d."),
        ({"duration": "0s"}, "duration has the value '0s'"),
        ({"author": " "}, "author is missing"),
        ({"comment": None}, "comment is missing"),
    ],
)
def test_a_mistake_is_one_sentence(change: dict[str, Any], sentence: str):
    """Thing, value and rule."""
    with pytest.raises(ConfigError) as caught:
        build_silence(WISH | change, NOON)
    assert [one for one in caught.value.problems if one.startswith(sentence)]


@pytest.mark.parametrize("wish", [None, [], "x", 3])
def test_what_is_no_object_is_refused(wish: object):
    """A sentence, not an exception of another kind."""
    with pytest.raises(ConfigError):
        build_silence(wish, NOON)
