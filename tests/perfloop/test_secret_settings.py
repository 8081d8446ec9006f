"""A URL with a marked password as the value of every setting of every program: nothing shows it.

The settings are listed from the parsers, the schemas and the source, so that a new one is tested without being named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop.cli import PROGRAMS
from perfloop_base.cli import guard
from perfloop_base.errors import ConfigError
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.secrets import register_secrets, without_secrets
from tests.perfloop.test_secrets import CHECKOUT, DEAD, LONG, SECRET, assert_files_hidden, assert_hidden, find_mark
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = f"http://admin:{SECRET}@{DEAD}/p?token={SECRET}"
SECONDS = 2.0  # that a service runs with a setting
SOURCES = ("exporter", "analyzer", "loadgen", "alertmanager", "prometheus", "grafana", "perfloop", "demo", "base")
# Modules that are run beside those of `perfloop`, and have a parser of their own.
MODULES = {"rules": ("perfloop_rules.cli", "_parser"), "stack": ("perfloop.cli", "build_parser")}
# What a command needs besides, so that it does something with a setting and ends by itself.
NEEDED = {
    "analyzer replay": ("--from=-2h", "--to=-1h"),
    "analyzer report": ("--html=report.html",),
    "loadgen run": ("--profile=basic",),
    "change add": ("something",),
}


@dataclass(frozen=True)
class Setting:
    """One option of one command: its program, the words before it, and its name."""

    program: str
    words: tuple[str, ...]
    option: str

    @property
    def name(self) -> str:
        """The command with the option."""
        return " ".join((self.program, *self.words, self.option))


def parser_of(program: str) -> argparse.ArgumentParser:
    """Return a program's parser."""
    if program in MODULES:
        module, function = MODULES[program]
    else:
        module, function = PROGRAMS[program].module, "build_parser"
    parser: argparse.ArgumentParser = getattr(import_module(module), function)()
    return parser


def settings_of(program: str, parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Yield every option that takes a value, of a parser and of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                if program != "stack" or name not in PROGRAMS:
                    yield from settings_of(program, inner, (*words, name))
        elif action.option_strings and action.nargs != 0:
            yield Setting(program, words, action.option_strings[-1])


ALL = [one for program in (*PROGRAMS, *MODULES) for one in settings_of(program, parser_of(program))]
URLS = [one for one in ALL if "url" in one.option]


def test_the_settings_are_found():
    """The list is of all programs, and has what is known to take a URL."""
    assert {one.program for one in ALL} >= {"analyzer", "loadgen", "exporter", "inbox", "demo", "rules"}
    names = {one.name for one in URLS}
    assert {"analyzer once --prometheus.url", "analyzer run --store.url", "loadgen run --url"} <= names
    assert {"inbox --alertmanager.url", "inbox --prometheus.url", "analyzer once --llm.url"} <= names


@pytest.mark.parametrize("program", [*PROGRAMS, *MODULES])
def test_what_is_said_about_a_value_shows_no_secret(program: str, capsys: pytest.CaptureFixture[str]):
    """Every setting, right or wrong, with a value that is none; and misspelt, which hides what it is."""
    parser = parser_of(program)
    for one in settings_of(program, parser):
        for value in (URL, f"admin:{SECRET}@{DEAD}", f"nonsense://:{SECRET}@{DEAD}/?password={SECRET}"):
            for option in (one.option, one.option[:-1]):
                words = [*one.words, f"{option}={value}", *NEEDED.get(" ".join((program, *one.words)), ())]
                guard(program, lambda words=words: int(not parser.parse_args(words)))
    shown = capsys.readouterr()
    assert_hidden(program, shown.out + shown.err)


def _command(one: Setting) -> list[str]:
    module = MODULES[one.program][0] if one.program in MODULES else PROGRAMS[one.program].module
    program = (
        module.rpartition(".")[0] if one.program in ("rules", "loadgen", "inbox", "analyzer", "exporter") else None
    )
    words = ["-m", program] if program else ["-m", "perfloop", *([] if one.program == "stack" else [one.program])]
    needed = [word for word in NEEDED.get(f"{one.program} {' '.join(one.words)}".strip(), ()) if one.option not in word]
    return [sys.executable, *words, *one.words, *needed, f"{one.option}={URL}"]


def _run(command: list[str], directory: Path, **environment: str) -> str:
    """Run a command until it ends, or for SECONDS after its arguments show no secret; return all that it wrote."""
    given = {**os.environ, "PERFLOOP_HOME": str(directory / "home"), **environment}
    path = directory / "said"
    with (
        path.open("wb") as said,
        subprocess.Popen(command, cwd=directory, env=given, stdout=said, stderr=said) as process,
    ):
        arguments = Path(f"/proc/{process.pid}/cmdline")
        wait_for(
            lambda: process.poll() is not None or not find_mark(arguments.read_bytes()), "the arguments to be hidden"
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(60)
    return path.read_text(errors="replace")


# Of the commands that share a setting, such as `once` and `report`, the shortest.
FIRST = {
    (one.program, one.option): one for one in sorted(URLS, key=lambda one: (one.words != ("once",), one.words))[::-1]
}
RUN = ALL if LONG else list(FIRST.values())


@pytest.mark.parametrize("one", RUN, ids=lambda one: one.name)
def test_a_program_with_the_value_shows_no_secret(one: Setting, tmp_path: Path):
    """The real program with one setting: what it writes, its arguments, and every file it leaves behind."""
    said = _run(_command(one), tmp_path)
    assert_hidden(one.name, said)
    assert "Traceback" not in said
    assert_files_hidden(tmp_path, set())


def variables() -> list[str]:
    """Return the variables that the programs read and whose value may be a URL or a secret."""
    text = "\n".join(path.read_text() for name in SOURCES for path in (CHECKOUT / name).rglob("*.py"))
    found = set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:URL|TOKEN|DSN|PORT|FILE|PROXY|HOME|DIR))"', text))
    return sorted(found - {"PERFLOOP_HOME"})


@pytest.mark.parametrize(
    "words",
    [
        ("perfloop_demo.service", "--web.listen-address=127.0.0.1:0"),
        ("perfloop", "status"),
        ("perfloop_analyzer", "recommendations"),
        ("perfloop_loadgen", "run", "--profile=basic", f"--url=http://{DEAD}"),
        ("perfloop_inbox", "--web.listen-address=127.0.0.1:0", "--smtp.listen-address=127.0.0.1:0"),
        ("perfloop_exporter", "--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"),
    ],
    ids=" ".join,
)
def test_a_variable_with_the_value_shows_no_secret(words: tuple[str, ...], tmp_path: Path):
    """All at once, and then each that names a URL alone, so that one does not hide the others."""
    names = variables()
    assert {"DATABASE_URL", "REDIS_URL", "GRAFANA_URL", "GRAFANA_TOKEN"} <= set(names)
    urls = [name for name in names if name.endswith("_URL") and (LONG or words[0].endswith(("service", "loadgen")))]
    for chosen in (names, *([name] for name in urls)):
        said = _run([sys.executable, "-m", *words], tmp_path, **dict.fromkeys(chosen, URL))
        assert_hidden(f"{words} with {chosen}", said)
        assert_files_hidden(tmp_path, set())


def _texts(
    schema: dict[str, Any], root: dict[str, Any], path: tuple[str, ...], depth: int
) -> Iterator[tuple[str, ...]]:
    """Yield the place of everything in a schema that may be a text."""
    if depth < 0:
        return
    if "$ref" in schema:
        yield from _texts(root["$defs"][schema["$ref"].rpartition("/")[2]], root, path, depth - 1)
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _texts(option, root, path, depth)
    if schema.get("type") == "string" or not schema.keys() - {"title", "description", "default"}:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from _texts(inner, root, (*path, name), depth)
    if isinstance(schema.get("items"), dict):
        yield from _texts(schema["items"], root, (*path, "[]"), depth)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _texts(schema["additionalProperties"], root, (*path, "X-Custom"), depth)


def _planted(path: tuple[str, ...], value: object) -> Any:
    for name in reversed(path):
        value = [value] if name == "[]" else {name: value}
    return value


def test_every_setting_of_a_load_test_shows_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each place of the file's schema: the sentence about it, or the configuration that reports hold."""
    run = import_module("perfloop_loadgen.cli").main
    schema = LoadTestConfig.model_json_schema()
    places = sorted(set(_texts(schema, schema, (), 4)))
    assert len(places) > 30
    for number, place in enumerate(places):
        section = {"endpoints": [{"path": "/"}], "duration_seconds": 0.1} | _planted(place, URL)
        try:
            config = LoadTestConfig.model_validate(section)
        except (ValueError, ConfigError):
            path = tmp_path / f"{number}.yml"
            path.write_text(yaml.safe_dump({"load_tests": {"t": section}}))
            run(["run", str(path)])
            shown = capsys.readouterr()
            assert_hidden(f"the sentence about {place}", shown.out + shown.err)
            continue
        register_secrets(config.model_dump(mode="json"))
        assert_hidden(f"a report with {place}", json.dumps(without_secrets(config.model_dump(mode="json"))))
