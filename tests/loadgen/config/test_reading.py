"""Each bad file and the sentence it earns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

USERS_EXAMPLE = """
load_tests:
  production_simulation:
    name: "Production Load Simulation"
    duration_seconds: 1800  # 30 minutes
    concurrent_users: 100
    ramp_up_seconds: 300    # 5 minutes
    endpoints:
      - path: "/api/v1/process/text"
        method: "POST"
        data: {"content": "Load test content"}
      - path: "/api/v1/search"
        method: "POST"
        data: {"query": "load test query"}
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "performance_config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_users_example_is_read(tmp_path: Path):
    """The file of the user's page gives the test it describes."""
    config = LoadTestConfig.from_yaml(_file(tmp_path, USERS_EXAMPLE))
    assert config.name == "Production Load Simulation"
    assert (config.duration_seconds, config.concurrent_users, config.ramp_up_seconds) == (1800, 100, 300)
    assert [endpoint.label for endpoint in config.endpoints] == ["POST /api/v1/process/text", "POST /api/v1/search"]


def test_a_single_test_may_stand_right_under_load_tests(tmp_path: Path):
    """`load_tests` with the keys of one test is that test."""
    config = LoadTestConfig.from_yaml(_file(tmp_path, "load_tests: {name: one, endpoints: [{path: /}]}"))
    assert config.name == "one"


BAD_FILES = {
    "a: 1": ["must hold the key load_tests with at least one test under it"],
    "load_tests: {}": ["load_tests: {}: must map names to tests"],
    "load_tests: {a: 3}": ["load_tests.a: 3: must be a test"],
    "load_tests: {a: {}}\nother: 1": ["other: unknown key beside load_tests"],
    "load_tests: {a: {users: 3}}": ["load_tests.a.users: unknown key"],
    "load_tests: {a: {concurrent_users: 0}}": [
        "load_tests.a.concurrent_users: 0: input should be greater than or equal to 1"
    ],
    "load_tests: {a: {endpoints: []}}": [
        "load_tests.a.endpoints: []: list should have at least 1 item after validation, not 0"
    ],
    "load_tests: {a: {endpoints: [{path: x}]}}": ["load_tests.a.endpoints[0].path: 'x': must start with '/'"],
    "load_tests: {a: {endpoints: [{method: GET}]}}": ["load_tests.a.endpoints[0].path: is missing"],
    "load_tests: {a: {base_url: 'ftp://x'}}": ["load_tests.a.base_url: 'ftp://x': must start with http:// or https://"],
    "load_tests: {a: {duration_seconds: 5, ramp_up_seconds: 9}}": [
        (
            "load_tests.a: ramp_up_seconds and ramp_down_seconds take 9 s of a duration_seconds of 5: "
            "the ramps lie inside the duration"
        )
    ],
    "load_tests: {a: {timeout_seconds: 0}, b: {weight: 1}}": [
        "load_tests.a.timeout_seconds: 0: input should be greater than 0",
        "load_tests.b.weight: unknown key",
    ],
    "load_tests: {a: {duration: 5, load: {shape: spikes}}}": [
        (
            "load_tests.a.load.shape: 'spikes': must be one of 'ramping_users', 'constant_rate', 'ramping_rate', "
            "'poisson_rate', 'spike', 'endurance', 'breakpoint'"
        ),
        "load_tests.a.duration: unknown key, did you mean duration_seconds?",
    ],
    "load_tests: {a: {load: {rate: 5}}}": ["load_tests.a.load.shape: is missing"],
    "a: [": ["is not YAML: line 1, column 5: did not find expected node content"],
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_every_problem_is_told_in_a_sentence(tmp_path: Path, text: str):
    """A bad file is refused with every problem at once, each with its place, value and rule."""
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        LoadTestConfig.all_from_yaml(path)
    told = [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]
    if "is not YAML" in BAD_FILES[text][0]:
        assert told[0].startswith("is not YAML: line 1")
    else:
        assert told == BAD_FILES[text]


def test_a_missing_file_is_named(tmp_path: Path):
    """No file: one sentence that names it."""
    with pytest.raises(ConfigError, match=r"nothing\.yml: cannot be read: No such file or directory"):
        LoadTestConfig.all_from_yaml(tmp_path / "nothing.yml")


def test_of_several_tests_one_must_be_named(tmp_path: Path):
    """`from_yaml` on a file with two tests asks which, and takes the name."""
    path = _file(tmp_path, "load_tests: {a: {}, b: {}}")
    with pytest.raises(ConfigError, match=r"holds 2 tests \(a, b\): say which one is meant"):
        LoadTestConfig.from_yaml(path)
    assert LoadTestConfig.from_yaml(path, "b").name == "b"
    with pytest.raises(ConfigError, match="has no test 'c', only a, b"):
        LoadTestConfig.from_yaml(path, "c")


def test_assignments_are_checked_like_a_file():
    """A value set in Python obeys the same rules."""
    config = LoadTestConfig()
    config.concurrent_users = 50
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        config.concurrent_users = 0
