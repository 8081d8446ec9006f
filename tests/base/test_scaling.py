"""scaling.yml: what a service's entry becomes, and the sentence for each mistake, with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_base.scaling import SCALING_FIELDS, ServiceScaling, parse_scaling, read_scaling

if TYPE_CHECKING:
    from pathlib import Path

MISTAKES = {
    "a share of a replica": (
        "defaults: {min_replicas: 1.5}",
        "s.yml:1: defaults: min_replicas has the value 1.5; it must be a whole number from 0 to 10000.",
    ),
    "no replica at most": (
        "defaults: {min_replicas: 0, max_replicas: 0}",
        "s.yml:1: defaults: max_replicas has the value 0; it must be a whole number from 1 to 10000.",
    ),
    "fewer than none": (
        "services: [{service: shop, min_replicas: -1}]",
        "s.yml:1: service shop: min_replicas has the value -1; it must be a number, 0 or more.",
    ),
    "a least above the most": (
        "services:\n- service: shop\n  min_replicas: 11\n",
        "s.yml:3: service shop: min_replicas 11 is above max_replicas 10; it must not exceed it.",
    ),
    "a start-up of years": (
        "defaults: {startup: 99y}",
        "s.yml:1: defaults: startup has the value '99y'; it must be at most 1d.",
    ),
    "a number without a unit": (
        "defaults: {startup: 60}",
        "s.yml:1: defaults: startup has the value 60; it must be a duration such as 30s, 5m or 1h.",
    ),
    "no time to drain": (
        "defaults: {drain: 0s}",
        "s.yml:1: defaults: drain has the value '0s'; it must be above 0 and at most 1d.",
    ),
    "a tolerance of all": (
        "defaults: {tolerance: 1}",
        "s.yml:1: defaults: tolerance has the value 1; it must be at least 0 and below 1.",
    ),
    "certainty": (
        "defaults: {confidence: 1}",
        "s.yml:1: defaults: confidence has the value 1; it must be from 0 to 0.999.",
    ),
    "a goal of nothing": (
        "defaults: {goal_growth: 0}",
        "s.yml:1: defaults: goal_growth has the value 0; it must be above 0.",
    ),
    "two entries of a service": (
        "services: [{service: shop}, {service: shop}]",
        "s.yml:1: the service 'shop' is set 2 times; every service has one entry.",
    ),
    "a service without a name": ("services: [{max_replicas: 3}]", "s.yml:1: this service has no service."),
    "an unknown field": (
        "defaults: {max_replica: 3}",
        "s.yml:1: defaults: unknown field 'max_replica'; did you mean 'max_replicas'?",
    ),
    "defaults that are a list": (
        "defaults: []",
        "s.yml:1: defaults must be a mapping of names to values.",
    ),
}


def test_a_service_takes_from_the_defaults_what_it_does_not_give() -> None:
    """Its own value wins over the file's defaults, and those over the built-in ones."""
    scaling = parse_scaling(
        "defaults: {max_replicas: 20, startup: 2m}\nservices: [{service: vllm, startup: 3m, min_replicas: 0}]", "s.yml"
    )
    assert scaling.of("vllm") == ServiceScaling(min_replicas=0, max_replicas=20, startup=180.0)
    assert scaling.of("shop") == ServiceScaling(max_replicas=20, startup=120.0)


@pytest.mark.parametrize("text", ["{}", "defaults:\nservices:\n", "services: []"])
def test_nothing_given_is_the_built_in_default(text: str) -> None:
    """A file may leave everything out."""
    assert parse_scaling(text, "s.yml").of("any") == ServiceScaling()


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.values(), ids=list(MISTAKES))
def test_each_mistake_has_its_sentence(text: str, sentence: str) -> None:
    """One sentence with the place, the value and the rule."""
    with pytest.raises(ConfigError) as caught:
        parse_scaling(text, "s.yml")
    assert caught.value.problems == (sentence,)


def test_all_problems_are_reported_at_once() -> None:
    """A mistake in the defaults hides none of a service, and is not repeated there."""
    with pytest.raises(ConfigError) as caught:
        parse_scaling("defaults: {drain: 0s, tolerance: 2}\nservices: [{service: a, startup: x}, 3]", "s.yml")
    assert len(caught.value.problems) == 4


def test_the_shipped_file_says_the_built_in_defaults(checkout: Path) -> None:
    """An analyzer without the file answers as one with it, and the file shows every field."""
    path = checkout / "prometheus" / "scaling.yml"
    assert read_scaling(path).defaults == ServiceScaling()
    text = path.read_text(encoding="utf-8")
    assert [one.name for one in SCALING_FIELDS if f"  {one.name}: " not in text] == []
