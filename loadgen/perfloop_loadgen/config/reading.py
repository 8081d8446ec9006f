"""Turn a YAML file into tests, or into one sentence for each problem, with its file and line."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from perfloop_base.errors import ConfigError
from perfloop_base.located import Entry, read_located
from perfloop_base.redaction import is_secret_name
from perfloop_loadgen.config.placeholders import fill_environment, names_in
from perfloop_loadgen.config.secrets import HIDDEN, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
_LONGEST_VALUE = 200
_MOST_VALUES = 1_000_000
_FROM_ENVIRONMENT = frozenset({"base_url", "data_file", "prometheus_url"})


def read_all(path: Path, validate: Callable[[dict[str, Any]], T], known: Collection[str]) -> dict[str, T]:
    """Return what `validate` makes of every test of the file, by the tests' keys.

    Args:
        path: the file.
        validate: turns one section into a test; raises pydantic's ValidationError.
        known: keys that a misspelt one may have meant.

    Raises:
        ConfigError: with every problem of the file.
    """
    problems: list[str] = []
    document = read_located(path, problems)
    check_size(document, document.file)
    tests: dict[str, T] = {}
    for key, section in _sections(document).items():
        try:
            tests[key] = validate({"name": key, **_from_environment(section, _plain(section))})
        except ValidationError as error:
            name = "load_tests" if section is document.get("load_tests") else f"load_tests.{key}"
            for problem in error.errors(include_url=False):
                line, where = _find(section, problem["loc"])
                problems.append(f"{document.file}:{line}: {name}{where}{_sentence(problem, known)}")
    if problems:
        raise ConfigError(problems)
    return tests


def _from_environment(section: Entry, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a test with `${env:NAME}` filled in addresses and file names.

    In requests they are filled when the run is prepared, so that no report has their values.
    """
    for key in _FROM_ENVIRONMENT & settings.keys():
        value = settings[key]
        names = [name for kind, name in names_in(value) if kind == "env"] if isinstance(value, str) else []
        missing = [name for name in names if name not in os.environ]
        for name in missing:
            section.report(f"{key}: ${{env:{name}}}: the environment has no variable {name}", key)
        if missing:
            del settings[key]  # one sentence is enough: what is left of it need not be read
        elif names:
            settings[key] = fill_environment(value, os.environ)
    return settings


def check_size(value: Any, file: str) -> None:
    """Check that a document is no bomb: a kilobyte of YAML's aliases can stand for more values than any memory holds.

    Raises:
        ConfigError: it holds more than any test does, or itself.
    """
    left = _MOST_VALUES
    open_values = [value]
    while open_values:
        value = open_values.pop()
        left -= 1
        if isinstance(value, dict):
            open_values += value.values()
        elif isinstance(value, list):
            open_values += value
        if left < 0 or len(open_values) > _MOST_VALUES:
            raise ConfigError(f"{file}: holds more than {_MOST_VALUES} values, or one that holds itself")


def choose_one(path: Path, tests: Mapping[str, T], name: str | None) -> T:
    """Return the only test of the file, or the one that is asked for by name."""
    if name is None and len(tests) == 1:
        return next(iter(tests.values()))
    if name is None:
        raise ConfigError(f"{path}: holds {len(tests)} tests ({', '.join(tests)}): name one of them")
    if name not in tests:
        raise ConfigError(f"{path}: has no test {name!r}, only {', '.join(tests)}")
    return tests[name]


def _sections(document: Entry) -> dict[str, Entry]:
    tests = document.get("load_tests")
    if "load_tests" not in document:
        document.report("must hold the key load_tests with at least one test under it")
    for key in document.keys() - {"load_tests"}:
        document.report(f"{key}: unknown key: load_tests is the only one", key)
    if isinstance(tests, Entry) and "endpoints" in tests:
        # A single test may be written directly under load_tests.
        return {str(tests.get("name", "load test")): tests}
    if "load_tests" in document and (not isinstance(tests, Entry) or not tests):
        document.report(f"load_tests: {tests!r}: must map names to tests", "load_tests")
    if not isinstance(tests, Entry):
        return {}
    for key, value in tests.items():
        if not isinstance(value, Entry):
            tests.report(f"load_tests.{key}: {value!r}: must be a test", key)
    return {key: value for key, value in tests.items() if isinstance(value, Entry)}


def _find(section: Entry, location: Sequence[int | str]) -> tuple[int, str]:
    """Return the line of a value, or of the nearest mapping around it, and the keys that lead to it in the file."""
    line, where = section.line, ""
    value: Any = section
    for number, part in enumerate(location, 1):
        if isinstance(value, Entry) and part in value:
            line, value = value.lines[str(part)], value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
            line = value.line if isinstance(value, Entry) else line
        elif number < len(location):
            continue  # not in the file: the name that pydantic gives the chosen member of a union
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    return line, where


def _plain(value: Any) -> Any:
    """Return the value without the lines of its mappings."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _sentence(problem: Any, known: Collection[str]) -> str:
    """Return the value and the rule that it breaks."""
    rule = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            return f": unknown key{_suggestion(str(problem['loc'][-1]), known)}"
        case "missing":
            return ": is missing"
        case "union_tag_invalid":
            return f".shape: {problem['ctx']['tag']!r}: must be one of {problem['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return ".shape: is missing"
    if not problem["loc"]:
        return f": {rule}"
    return f": {_value(problem)}: {rule[0].lower()}{rule[1:]}"


def _value(problem: Any) -> str:
    """Return the value as it stands in the sentence: shortened, and without secrets."""
    if any(is_secret_name(str(key)) for key in problem["loc"]):
        return HIDDEN
    text = shown(repr(problem["input"]))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _suggestion(key: str, known: Collection[str]) -> str:
    if key in known:
        return ""  # it is right in another section, not misspelt
    # The unit is what is most often left out: `duration` for `duration_seconds`.
    longer = [one for one in sorted(known) if one.startswith(f"{key}_")]
    near = longer or get_close_matches(key, sorted(known), n=1, cutoff=0.65)
    return f", did you mean {near[0]}?" if near else ""
