"""Each bad file and the sentence it earns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config import LoadTestConfig

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


def _file(directory: Path, text: str) -> Path:
    path = directory / "performance_config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_byte_order_mark_changes_nothing(tmp_path: Path):
    """As some editors write YAML and JSON."""
    path = tmp_path / "t.yml"
    for text in (
        "load_tests:\n  a:\n    endpoints: [{path: /}]\n",
        '{"load_tests": {"a": {"endpoints": [{"path": "/"}]}}}',
    ):
        path.write_text(text, encoding="utf-8-sig")
        assert list(LoadTestConfig.all_from_yaml(path)) == ["a"]


def test_the_users_example_is_read(tmp_path: Path):
    """The file of the user's page gives the test it describes."""
    config = LoadTestConfig.from_yaml(_file(tmp_path, USERS_EXAMPLE))
    assert config.name == "Production Load Simulation"
    assert (config.duration_seconds, config.concurrent_users, config.ramp_up_seconds) == (1800, 100, 300)
    assert [endpoint.label for endpoint in config.endpoints] == ["POST /api/v1/process/text", "POST /api/v1/search"]


def test_a_single_test_may_be_right_under_load_tests(tmp_path: Path):
    """`load_tests` with the keys of one test is that test."""
    config = LoadTestConfig.from_yaml(_file(tmp_path, "load_tests: {name: one, endpoints: [{path: /}]}"))
    assert config.name == "one"


# Each bad file with its problems: the line and the sentence.
BAD_FILES = {
    "a: 1": [
        (1, "must hold the key load_tests with at least one test under it"),
        (1, "a: unknown key: load_tests is the only one"),
    ],
    "load_tests: {}": [(1, "load_tests: {}: must map names to tests")],
    "load_tests: {a: 3}": [(1, "load_tests.a: 3: must be a test")],
    "load_tests: {a: {}}\nother: 1": [(2, "other: unknown key: load_tests is the only one")],
    "load_tests: {a: {users: 3}}": [(1, "load_tests.a.users: unknown key")],
    "load_tests:\n  a:\n    concurrent_users: 0": [
        (3, "load_tests.a.concurrent_users: 0: input should be greater than or equal to 1")
    ],
    "load_tests: {a: {endpoints: []}}": [
        (1, "load_tests.a.endpoints: []: list should have at least 1 item after validation, not 0")
    ],
    "load_tests:\n  a:\n    endpoints:\n      - path: /\n      - method: GET\n        path: x": [
        (6, "load_tests.a.endpoints[1].path: 'x': must start with '/'")
    ],
    "load_tests:\n  a:\n    endpoints:\n      - path: /\n      - method: GET": [
        (5, "load_tests.a.endpoints[1].path: is missing")
    ],
    "load_tests: {a: {base_url: 'ftp://x'}}": [
        (1, "load_tests.a.base_url: 'ftp://x': must start with http:// or https://")
    ],
    "load_tests:\n\n  a:\n    duration_seconds: 5\n    ramp_up_seconds: 9": [
        (
            4,
            (
                "load_tests.a: ramp_up_seconds and ramp_down_seconds take 9 s of a duration_seconds of 5: "
                "the ramps lie inside the duration"
            ),
        )
    ],
    "load_tests:\n  a:\n    timeout_seconds: 0\n  b:\n    weight: 1": [
        (3, "load_tests.a.timeout_seconds: 0: input should be greater than 0"),
        (5, "load_tests.b.weight: unknown key"),
    ],
    "load_tests:\n  a:\n    duration: 5\n    load:\n      shape: spikes": [
        (
            4,
            (
                "load_tests.a.load.shape: 'spikes': must be one of 'ramping_users', 'constant_rate', 'ramping_rate', "
                "'poisson_rate', 'trace', 'spike', 'endurance', 'breakpoint'"
            ),
        ),
        (3, "load_tests.a.duration: unknown key, did you mean duration_seconds?"),
    ],
    "load_tests: {a: {load: {rate: 5}}}": [(1, "load_tests.a.load.shape: is missing")],
    "load_tests:\n  a:\n    load: {shape: breakpoint,\n           max_rates: 5}": [
        (4, "load_tests.a.load.max_rates: unknown key, did you mean max_rate?")
    ],
    "load_tests: {name: one, endpoints: [{path: /}], users: 1}": [(1, "load_tests.users: unknown key")],
    "load_tests:\n  a: {}\n  a: {}": [(3, "the key 'a' is defined twice in one mapping.")],
    "a: [": [(1, "not valid YAML: did not find expected node content.")],
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_every_problem_is_a_sentence_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    """A bad file is refused with all its problems, each with its file, line, value and rule."""
    monkeypatch.chdir(tmp_path)
    path = _file(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        LoadTestConfig.all_from_yaml(path)
    assert list(caught.value.problems) == [f"{path.name}:{line}: {sentence}" for line, sentence in BAD_FILES[text]]


def test_a_missing_file_is_named(tmp_path: Path):
    """No file: one sentence that names it."""
    with pytest.raises(ConfigError, match=r"nothing\.yml: cannot be read: No such file or directory"):
        LoadTestConfig.all_from_yaml(tmp_path / "nothing.yml")


def test_of_several_tests_one_must_be_named(tmp_path: Path):
    """`from_yaml` on a file with two tests asks which, and takes the name."""
    path = _file(tmp_path, "load_tests: {a: {}, b: {}}")
    with pytest.raises(ConfigError, match=r"holds 2 tests \(a, b\): name one of them"):
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
