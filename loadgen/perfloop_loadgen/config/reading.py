"""Turn a YAML file into tests, or into every sentence that says what is wrong with it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import ValidationError

from perfloop_loadgen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")


def read_all(path: Path, validate: Callable[[dict[str, Any]], T], known: Sequence[str]) -> dict[str, T]:
    """Return what `validate` makes of every test of the file, by the tests' keys; every problem is told at once.

    `known` are keys that a misspelt one may have meant.
    """
    tests: dict[str, T] = {}
    problems: list[str] = []
    for key, section in _sections(path, _load(path)).items():
        try:
            tests[key] = validate({"name": key, **section})
        except ValidationError as error:
            problems.extend(f"{path}: load_tests.{key}{sentence}" for sentence in sentences(error, known))
    if problems:
        raise ConfigError(problems)
    return tests


def choose_one(path: Path, tests: Mapping[str, T], name: str | None) -> T:
    """Return the one test of the file, or the one that is asked for by name."""
    if name is None and len(tests) == 1:
        return next(iter(tests.values()))
    if name is None:
        raise ConfigError([f"{path}: holds {len(tests)} tests ({', '.join(tests)}): say which one is meant"])
    if name not in tests:
        raise ConfigError([f"{path}: has no test {name!r}, only {', '.join(tests)}"])
    return tests[name]


def sentences(error: ValidationError, known: Sequence[str]) -> list[str]:
    """Put each problem of a section in one sentence: the place, the value, the rule."""
    problems = error.errors(include_url=False)
    return [_sentence(problem, known) for problem in problems]


def _sentence(problem: Any, known: Sequence[str]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    rule = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            return f"{place}: unknown key{_meant(str(problem['loc'][-1]), known)}"
        case "missing":
            return f"{place}: is missing"
        case "union_tag_invalid":
            return f"{place}.shape: {problem['ctx']['tag']!r}: must be one of {problem['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{place}.shape: is missing"
    if not problem["loc"]:
        return f": {rule}"
    return f"{place}: {problem['input']!r}: {rule[0].lower()}{rule[1:]}"


def _meant(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.65)
    # A key that is right in another section is only in the wrong place.
    return f", did you mean {near[0]}?" if near and key not in known else ""


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: is not YAML: {_where(error)}"]) from error


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "unreadable"
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else str(what)


def _sections(path: Path, document: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(document, dict) or "load_tests" not in document:
        raise ConfigError([f"{path}: must hold the key load_tests with at least one test under it"])
    unknown = [f"{path}: {key}: unknown key beside load_tests" for key in document if key != "load_tests"]
    tests = document["load_tests"]
    if isinstance(tests, dict) and "endpoints" in tests:
        tests = {str(tests.get("name", "load test")): tests}
    if not isinstance(tests, dict) or not tests:
        unknown.append(f"{path}: load_tests: {tests!r}: must map names to tests")
        raise ConfigError(unknown)
    unknown += [
        f"{path}: load_tests.{key}: {value!r}: must be a test"
        for key, value in tests.items()
        if not isinstance(value, dict)
    ]
    if unknown:
        raise ConfigError(unknown)
    return {str(key): value for key, value in tests.items()}
