"""Every file and text that the load generator reads, with content that nobody meant: a sentence, never a traceback."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig
from perfloop_loadgen.app.build import build_run
from perfloop_loadgen.app.importing import import_file
from perfloop_loadgen.compare.obstacles import obstacles
from perfloop_loadgen.compare.runs import Gate, compare
from perfloop_loadgen.imports import FORMS
from perfloop_loadgen.scenario.checks import MISSING, find, find_json
from perfloop_loadgen.scenario.feeder import read_rows
from perfloop_loadgen.scenario.llm.prompts import read_prompts
from perfloop_loadgen.scenario.template import fill, fill_path
from perfloop_loadgen.summary.document import from_json, to_json
from perfloop_loadgen.thresholds.expression import parse_expression
from tests.loadgen.conftest import build_document
from tests.loadgen.known_runs import build_run as build_known_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["/", "GET", "${a}", "http://[::1", "http://a:b", "json:a[0]", "regex:(", "1e999", "2026-01-01", "<<"]
    ),
)
NAMES = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        [
            *("load_tests", "endpoints", "path", "method", "data", "headers", "weight", "checks", "scenarios", "steps"),
            *("extract", "name", "base_url", "load", "shape", "rate", "stages", "thresholds", "expect", "promql"),
            *("paths", "get", "post", "parameters", "in", "schema", "$ref", "properties", "items", "type", "required"),
            *("log", "entries", "request", "url", "response", "status", "postData", "text", "startedDateTime", "time"),
            *(
                "swagger",
                "consumes",
                "formData",
                "allOf",
                "oneOf",
                "security",
                "servers",
                "variables",
                "params",
                "mimeType",
            ),
            *("item", "header", "body", "mode", "raw", "auth", "bearer", "variable", "key", "value", "urlencoded"),
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=20,
)


def _accepts(read: Callable[[], Any]) -> Any:
    """Return the result, or None for a ConfigError whose every problem is a sentence; all else is a failure."""
    try:
        return read()
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(problem.strip() for problem in problems)
    return None


@FUZZ
@given(st.one_of(VALUES, st.builds(lambda section: {"load_tests": {"t": section}}, st.dictionaries(NAMES, VALUES))))
def test_a_test_file_of_any_values(tmp_path_factory: pytest.TempPathFactory, document: Any):
    """Values of any kind under any key; what is accepted can be built."""
    path = tmp_path_factory.mktemp("f") / "t.yml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace")
    for config in (_accepts(lambda: LoadTestConfig.all_from_yaml(path)) or {}).values():
        if config.workers == 1 and config.concurrent_users < 1000:
            _accepts(lambda config=config: build_run(config))


@FUZZ
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_files_of_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    """Test files, rows of data, prompts, imports, reports."""
    directory = tmp_path_factory.mktemp("f")
    readers: list[tuple[str, Callable[[Path], Any]]] = [
        ("t.yml", LoadTestConfig.all_from_yaml),
        ("rows.csv", read_rows),
        ("rows.json", read_rows),
        ("prompts.txt", read_prompts),
        ("prompts.json", read_prompts),
        ("report.json", from_json),
        *((f"{form}.yml", lambda path, form=form: import_file(form, path)) for form in FORMS),
    ]
    for name, read in readers:
        path = directory / name
        path.write_bytes(content)
        _accepts(lambda read=read, path=path: read(path))


OPERATIONS = st.dictionaries(st.sampled_from(["get", "post", "parameters", "x"]), VALUES, max_size=3)
OPENAPI = st.fixed_dictionaries({"paths": st.dictionaries(NAMES, st.one_of(OPERATIONS, VALUES), max_size=3)})
REQUESTS = st.fixed_dictionaries(
    {"method": SCALARS, "url": st.one_of(SCALARS, st.just("http://a/b"))},
    optional={"headers": VALUES, "postData": VALUES},
)
ENTRIES = st.fixed_dictionaries(
    {"request": st.one_of(REQUESTS, VALUES)},
    optional={
        "startedDateTime": st.one_of(SCALARS, st.just("2026-01-01T00:00:00Z")),
        "time": SCALARS,
        "response": VALUES,
    },
)
HAR = st.fixed_dictionaries({"log": st.fixed_dictionaries({"entries": st.lists(ENTRIES, max_size=4)})})


POSTMAN = st.fixed_dictionaries(
    {
        "item": st.lists(
            st.fixed_dictionaries({"request": st.one_of(REQUESTS, VALUES)}, optional={"auth": VALUES}), max_size=3
        )
    },
    optional={"variable": VALUES, "auth": VALUES},
)


@FUZZ
@given(st.one_of(OPENAPI, HAR, POSTMAN, VALUES), st.sampled_from(sorted(FORMS)))
def test_imports_of_any_values(tmp_path_factory: pytest.TempPathFactory, document: Any, form: str):
    """A test file in YAML, or a sentence."""
    path = tmp_path_factory.mktemp("f") / "d.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    text = _accepts(lambda: import_file(form, path))
    if text is not None:
        path.write_text(text, encoding="utf-8")
        LoadTestConfig.all_from_yaml(path)


WORDS = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            ["curl", "-d", "-H", "-F", "--json", "-X", "-u", "a:b", "http://h/", "-G", "a=b", "$'\\x41'", "|"]
        ),
    ),
    max_size=8,
)


@FUZZ
@given(st.one_of(WORDS.map(" ".join), st.text(max_size=60)))
def test_commands_of_any_text(tmp_path_factory: pytest.TempPathFactory, text: str):
    """A test file that is read, or a sentence."""
    made = _accepts(lambda: import_file("curl", f"curl {text}"))
    if made is not None:
        path = tmp_path_factory.mktemp("f") / "t.yml"
        path.write_text(made, encoding="utf-8")
        LoadTestConfig.all_from_yaml(path)


def _laughs(levels: int) -> str:
    """Return YAML of a few lines that stands for ten to the power of `levels` values."""
    first = f"a0: &a0 [{', '.join('x' * 10)}]"
    more = (f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, levels))
    return "\n".join((first, *more))


BOMBS: dict[str, tuple[str, str]] = {
    "aliases in OpenAPI": ("openapi", _laughs(12) + "\npaths: {/a: {get: {requestBody: {}, parameters: *a11}}}\n"),
    "aliases in a recording": ("har", _laughs(12) + "\nlog: {entries: *a11}\n"),
    "an alias to itself": ("openapi", "paths: &p {/a: {get: {parameters: [{name: x, in: query, example: *p}]}}}\n"),
    "a schema of itself": (
        "openapi",
        json.dumps(
            {
                "paths": {
                    "/a": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/n"}}}}}}
                },
                "n": {"type": "object", "properties": {name: {"$ref": "#/n"} for name in "abcdefgh"}},
            }
        ),
    ),
    "a reference to itself": (
        "openapi",
        json.dumps({"paths": {"/a": {"get": {"requestBody": {"$ref": "#/n"}}}}, "n": {"$ref": "#/n"}}),
    ),
    "a list of a billion items": (
        "openapi",
        json.dumps(
            {
                "paths": {
                    "/a": {
                        "get": {
                            "parameters": [
                                {
                                    "name": "a",
                                    "in": "query",
                                    "required": True,
                                    "schema": {"type": "array", "minItems": 10**9},
                                },
                                {
                                    "name": "b",
                                    "in": "query",
                                    "required": True,
                                    "schema": {"type": "string", "minLength": 10**12},
                                },
                            ]
                        }
                    }
                }
            }
        ),
    ),
    "nested too deep": ("openapi", "[" * 100_000),
    "a number of 10,000 digits": ("har", '{"log": ' + "9" * 10_000 + "}"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_import_is_a_bomb(tmp_path: Path, name: str):
    """A few lines that stand for more than any memory holds: a bounded file, or a sentence, at once."""
    form, content = BOMBS[name]
    path = tmp_path / "bomb.yml"
    path.write_text(content)
    began = time.monotonic()
    text = _accepts(lambda: import_file(form, path))
    assert time.monotonic() - began < 10
    assert text is None or len(text.splitlines()) < 5000


def test_no_test_file_is_a_bomb(tmp_path: Path):
    """Aliases of aliases in a test file: refused by their number, before they are unfolded."""
    path = tmp_path / "bomb.yml"
    path.write_text(_laughs(12) + "\nload_tests: {t: {endpoints: [{path: /, data: *a11}]}}\n")
    began = time.monotonic()
    with pytest.raises(ConfigError, match="holds more than 1000000 values"):
        LoadTestConfig.all_from_yaml(path)
    assert time.monotonic() - began < 10


@FUZZ
@given(VALUES, st.dictionaries(st.sampled_from(["a", "b.c", "d-e"]), VALUES))
def test_templates_of_any_values(value: Any, values: dict[str, Any]):
    """Filled, or one sentence about the name that is missing."""
    _accepts(lambda: fill(value, values))
    _accepts(lambda: fill_path(f"/{value}/${{a}}", values))


@FUZZ
@given(
    st.one_of(
        st.text(max_size=30),
        st.builds(
            "{} {} {} {}".format,
            st.sampled_from(["p95", "errors", "service_p99.9", "p101", "p", ""]),
            st.sampled_from(["<", "<=", "=", ">>"]),
            st.one_of(st.floats().map(str), st.integers().map(str), st.sampled_from(["1e999", "1e", "..", "-"])),
            st.sampled_from(["s", "ms", "%", "", "µs", "parsec"]),
        ),
    ),
    st.booleans(),
)
def test_gates_of_any_text(text: str, bare: bool):  # noqa: FBT001 - drawn
    """A comparison whose bound is a number, or a sentence."""
    found = _accepts(lambda: parse_expression(text, bare=bare))
    assert found is None or not math.isnan(found.comparison.bound)


@FUZZ
@given(
    st.text(max_size=20),
    st.binary(max_size=60),
    st.one_of(st.binary(max_size=60), VALUES.map(lambda v: json.dumps(v).encode())),
)
def test_sources_of_any_text_in_any_answer(path: str, head: bytes, body: bytes):
    """A value, or none."""
    find_json(path, body)
    find(f"json:{path}", head, body)
    find(f"header:{path}", head, body)
    assert find_json("a[" + "9" * 5000 + "]", b'{"a": []}') is MISSING


@FUZZ
@given(st.data())
def test_reports_with_any_number_compare_or_are_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    """A report in which values were replaced: read and compared, or a sentence."""
    directory = tmp_path_factory.mktemp("f")
    good = build_known_run(0.1, 1)
    document = json.loads(to_json(good))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = document, data.draw(st.sampled_from(sorted(document)))
        while isinstance(holder[key], dict | list) and holder[key] and data.draw(st.integers(0, 4)):
            holder = holder[key]
            keys = sorted(holder) if isinstance(holder, dict) else range(len(holder))
            key = data.draw(st.sampled_from(list(keys)))
        holder[key] = data.draw(st.one_of(SCALARS, st.sampled_from([0, -1, 1e-320, 1e308, 10**400, "NaN", [], {}])))
    path = directory / "r.json"
    path.write_text(json.dumps(document))
    found = _accepts(lambda: from_json(path))
    if found is not None:
        obstacles([good], [found])
        compare([good] * 5, [found] * 5, Gate())
        compare([found], [good], Gate())


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_report_that_was_cut_off_is_refused(tmp_path: Path, cut: float):
    """As a full disk or a killed copy leaves it."""
    path = tmp_path / "r.json"
    whole = to_json(build_document(0.1, 1))
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(ConfigError, match=r"r\.json: is not a report of this program: "):
        from_json(path)
