"""The rules of the models, each with a value that breaks it; and what a good test means."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from perfloop_loadgen.config import PROFILES, EndpointConfig, LoadTestConfig, ScenarioConfig
from perfloop_loadgen.config.model import DEFAULT_URL, GateConfig
from perfloop_loadgen.config.scenario import CheckConfig, StepConfig
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.config.strict import known_keys


@pytest.mark.parametrize(
    ("model", "values", "sentence"),
    [
        (LoadTestConfig, {"http2": True}, "http2 needs engine: httpx"),
        (LoadTestConfig, {"base_url": "localhost"}, "must start with http:// or https://"),
        (LoadTestConfig, {"duration_seconds": float("inf")}, "finite number"),
        (LoadTestConfig, {"workers": 0}, "greater than or equal to 1"),
        (LoadTestConfig, {"load": {"shape": "spike", "rise_seconds": 0}}, "greater than 0"),
        (LoadTestConfig, {"load": {"shape": "ramping_rate", "stages": []}}, "at least 1 item"),
        (LoadTestConfig, {"load": {"shape": "breakpoint", "precision_ratio": 1}}, "less than 1"),
        (GateConfig, {"expect": "< 3", "promql": "up", "endpoint": "GET /"}, "endpoint and promql exclude each other"),
        (EndpointConfig, {"path": "/a b"}, "must not hold spaces or line ends"),
        (EndpointConfig, {"path": "/", "headers": {"X": "a\r\nY: b"}}, "must not hold line ends"),
        (EndpointConfig, {"path": "/", "method": "FETCH"}, "'GET'"),
        (EndpointConfig, {"path": "/", "data": "x", "llm": {"model": "m"}}, "leave data out"),
        (CheckConfig, {"equals": 3}, "name one of json, header and body_contains"),
        (CheckConfig, {"json": "a", "header": "b"}, "name one of json, header and body_contains"),
        (
            StepConfig,
            {"path": "/", "extract": {"id": "xml:/a"}},
            "id must be json:PATH, header:NAME, cookie:NAME or regex:PATTERN",
        ),
        (ScenarioConfig, {}, "give either steps or python"),
        (ScenarioConfig, {"python": "shop.py"}, "python must be FILE.py:FUNCTION"),
    ],
)
def test_each_rule_has_its_sentence(model: Any, values: dict[str, Any], sentence: str):
    """A value that breaks a rule is refused with the rule."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    assert sentence in str(caught.value)


def test_an_address_has_no_slash_at_its_end():
    """A path is appended to it."""
    assert LoadTestConfig(base_url="http://a/").base_url == "http://a"


@pytest.mark.parametrize(("status", "expected"), [(201, [201]), ([200, 404], [200, 404]), (None, [])])
def test_a_status_may_be_one_or_several(status: Any, expected: list[int]):
    """One number is a list of one; none is any good status."""
    assert EndpointConfig.model_validate({"path": "/", "expected_status": status}).expected_status == expected


@pytest.mark.parametrize(
    ("endpoint", "label"),
    [
        ({"path": "/items?page=2"}, "GET /items"),
        ({"path": "/", "method": "post"}, "POST /"),
        ({"path": "/", "name": "home"}, "home"),
        ({"path": "/v1/chat", "llm": {"model": "m"}}, "POST /v1/chat"),
    ],
)
def test_the_label_is_method_and_path(endpoint: dict[str, Any], label: str):
    """Without the query, unless a name is given; a chat is always posted."""
    assert EndpointConfig.model_validate(endpoint).label == label


def test_default_endpoints_give_way_to_scenarios():
    """Only a test that names nothing is about the default endpoints."""
    scenario = ScenarioConfig(steps=[StepConfig(path="/x")])
    assert len(LoadTestConfig().requested) == 3
    assert LoadTestConfig(scenarios=[scenario]).requested == []
    both = LoadTestConfig(scenarios=[scenario], endpoints=[EndpointConfig(path="/y")])
    assert [endpoint.path for endpoint in both.requested] == ["/y"]


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_complete(name: str):
    """Each has a name, a duration and users, and takes another address."""
    config = PROFILES[name]()
    assert config.base_url == DEFAULT_URL
    assert config.duration_seconds >= 60
    assert config.concurrent_users >= 10
    assert PROFILES[name]("http://other:1").base_url == "http://other:1"


def test_credentials_are_hidden_and_numbers_kept():
    """Texts whose key sounds like a credential, at any depth; `max_tokens` is no credential."""
    found = without_secrets(
        {"headers": {"Authorization": "Bearer x", "Accept": "*/*"}, "steps": [{"api_key": "k"}], "max_tokens": 64}
    )
    assert found == {
        "headers": {"Authorization": "<secret>", "Accept": "*/*"},
        "steps": [{"api_key": "<secret>"}],
        "max_tokens": 64,
    }


def test_known_keys_are_those_of_every_section():
    """A misspelt key of any section may be suggested."""
    assert {"concurrent_users", "weight", "first_token_seconds", "max_rate", "ca_file"} <= known_keys()
