"""`perfloop check` as people and pipelines run it: the table, JSON, JUnit, codes, and advice that can be followed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from jsonschema import Draft202012Validator

from perfloop.check import advice
from perfloop.check.app import Result
from perfloop.check.checklist import Line, overall
from perfloop.check.cli import main
from perfloop.check.document import readiness_schema, to_json
from perfloop.check.findings import Advice, Part, Verdict, failed, passed, unknown
from perfloop.check.rendering import render_junit
from perfloop.check.table import CHECKS, ITEMS
from perfloop.cli import PROGRAMS, build_parser
from tests.support.readiness import Done, run_here

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE = {name: value for name, value in vars(advice).items() if isinstance(value, Advice)}
_NOBODY = 65534
PUT_IN = {"URL": "http://127.0.0.1:8000", "FILE": "test.yml", "DIRECTORY": "backups", "VERSION": "1.4"}


def run(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a directory of its own, where nothing runs."""
    known = {**os.environ, "PERFLOOP_HOME": str(directory / "home"), "DOCKER_HOST": "unix:///none"}
    known.pop("PERFLOOP_LOADGEN_STORE_URL", None)
    command = [sys.executable, "-m", "perfloop", "check", *arguments]
    return subprocess.run(
        command, cwd=directory, env={**known, **environment}, capture_output=True, text=True, check=False
    )


def here(directory: Path, *arguments: str) -> Done:
    """Run the command in this process, in a directory where nothing runs."""
    known = {"PERFLOOP_HOME": str(directory / "home"), "DOCKER_HOST": "unix:///none"}
    with contextlib.chdir(directory), mock.patch.dict(os.environ, known):
        os.environ.pop("PERFLOOP_LOADGEN_STORE_URL", None)
        return run_here(main, *arguments)


@pytest.mark.parametrize("name", ADVICE)
def test_every_advice_is_a_command_that_exists(name: str):
    """Each is taken by the parser of its own program, with something in the place of the capital words."""
    words = shlex.split(ADVICE[name].command)
    assert words[0] == "perfloop"
    filled = [re.sub(r"\b[A-Z]{3,}\b", lambda found: PUT_IN[found[0]], word) for word in words[1:]]
    program = PROGRAMS.get(filled[0])
    if program is None:
        build_parser().parse_args(filled)
    else:
        import_module(program.module).build_parser().parse_args(filled[1:])


@pytest.mark.parametrize("name", ADVICE)
def test_commands_within_advice_exist_too(name: str):
    """What a sentence has in backquotes is a command as well."""
    for command in re.findall(r"`perfloop ([a-z]+)", ADVICE[name].do):
        build_parser().parse_args([command])


def test_every_item_has_a_check_and_every_check_a_name():
    """No line of the checklist is left out, and names are names of files and classes."""
    assert {item for one in CHECKS for item in one.items} == set(ITEMS)
    names = [one.name for one in CHECKS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_the_user_s_ten_lines_are_the_checklist():
    """In the order and the words of a production checklist."""
    titles = [item.title.split()[0] for item in ITEMS]
    assert titles == [
        *("Performance", "Load", "Performance", "Monitoring", "Optimization", "What"),
        *("Real-time", "Performance", "Alert", "Regular", "Continuous"),
    ]


def test_where_nothing_runs_no_line_of_a_program_passes(tmp_path: Path):
    """Code 1, one sentence each, no colours in a pipe, no traceback, and the JSON is what the schema says."""
    (tmp_path / "empty").mkdir()
    done = run(tmp_path / "empty", "--json", "out.json", "--junit", "out.xml")
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 120 and line == line.rstrip() for line in done.stdout.splitlines())
    document = json.loads((tmp_path / "empty" / "out.json").read_text())
    Draft202012Validator(readiness_schema()).validate(document)
    assert (document["verdict"], document["mode"]) == ("failed", "none")
    by_name = {(one["check"], one["of"]): one for one in document["checks"]}
    assert by_name["targets", ""]["finding"].startswith("no stack runs in ")
    assert by_name["targets", ""]["command"] == "perfloop up"
    programs = [one for one in document["checks"] if re.match(r"Prometheus|Grafana|the (analyzer|inbox)", one["reads"])]
    assert len(programs) > 10
    assert {one["verdict"] for one in programs} == {"unknown"}
    cases = ET.parse(tmp_path / "empty" / "out.xml").getroot()
    assert int(cases.attrib["errors"]) == document["counts"]["unknown"]
    assert not (tmp_path / "empty" / "home" / "loadgen").exists()


def test_parts_and_printed_forms(tmp_path: Path):
    """Each part alone has its own lines; JSON and JUnit print instead of the table, and not both."""
    before = json.loads(here(tmp_path, "--pre", "--json").stdout)
    after = json.loads(here(tmp_path, "--post", "--json").stdout)
    assert {one["part"] for one in before["checks"]} == {"pre"}
    assert {one["part"] for one in after["checks"]} == {"post"}
    assert after["verdict"] == "unknown"
    assert here(tmp_path, "--post").returncode == 14
    assert here(tmp_path, "--post", "--junit").stdout.startswith("<?xml")
    both = here(tmp_path, "--json", "--junit")
    assert (both.returncode, both.stderr) == (
        2,
        "perfloop check: --json and --junit both print: give one of them a FILE\n",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--prometheus.url", "nonsense"), 2, "--prometheus.url is 'nonsense': an address begins with http://"),
        (("--label", "version"), 2, "'version' is not a label: write NAME=VALUE"),
        (("--label", "a=1", "--label", "a=2"), 2, "--label a: given with several values"),
        (("--test-alert.timeout", "10m"), 2, "a test alert is waited for at most 120 s"),
        (("--pre", "--post"), 2, "not allowed with"),
        (("--servise", "x"), 2, "did you mean --service?"),
        (("--backup.max-age", "0s"), 2, "must be longer than zero"),
        (("--post", "--json", "none/out.json"), 11, "--json: none/out.json cannot be written: No such file"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str):
    """With the thing, the value and the rule."""
    done = here(tmp_path, *arguments)
    assert done.returncode == code
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_configuration_that_is_broken_is_a_line(tmp_path: Path):
    """A file that cannot be read fails its line; the others are still asked."""
    for name in ("prometheus/prometheus.yml", "prometheus/thresholds.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("signals: [")
    document = json.loads(here(tmp_path, "--pre", "--json").stdout)
    (line,) = (one for one in document["checks"] if one["check"] == "configuration")
    assert line["verdict"] == "failed"
    assert "not valid YAML" in line["finding"]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory that every user may enter, with a home that this one may not read; root becomes nobody meanwhile."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "home").mkdir()
        here(directory, "--json")  # from now on nothing is imported, which another user could not do
        (directory / "home").chmod(0)
        try:
            os.seteuid(_NOBODY if user == 0 else user)
            yield directory
        finally:
            os.seteuid(user)
            (directory / "home").chmod(0o700)


def test_without_rights_nothing_passes(closed: Path):
    """State that may not be read is unknown with its reason."""
    document = json.loads(here(closed, "--json").stdout)
    lines = {one["check"]: one for one in document["checks"]}
    assert {name for name, one in lines.items() if one["verdict"] == "passed"} <= {"configuration", "secrets-backup"}
    assert "cannot be read by this user" in lines["targets"]["finding"]
    for name in ("baseline", "load-test", "throughput", "backup"):
        assert (name, lines[name]["verdict"]) == (name, "unknown")
        assert "ermission denied" in lines[name]["finding"] or "unable to open" in lines[name]["finding"]


def result_of(*findings: Any) -> Result:
    """Return a result with a line for each finding."""
    lines = tuple(Line(CHECKS[0], CHECKS[0].items[0], one) for one in findings)
    return Result(0.0, "native", "/home", "", (Part.PRE,), lines)


HOSTILE = 'x\x00\x1b[31m<![CDATA[ ]]> & "\ud800 https://user:s3cretpass@host.test/ \u202e'


def test_reports_hold_any_text(tmp_path: Path):
    """What programs answer breaks no report, hides no secret and colours no terminal."""
    result = result_of(failed(HOSTILE, advice.START, of=HOSTILE), unknown(HOSTILE, advice.START), passed(HOSTILE))
    document, xml = to_json(result), render_junit(result)
    Draft202012Validator(readiness_schema()).validate(json.loads(document))
    suite = ET.fromstring(xml)
    assert (suite.attrib["failures"], suite.attrib["errors"], suite.attrib["tests"]) == ("1", "1", "3")
    for text in (document, xml):
        assert "s3cretpass" not in text
        assert "\x1b" not in text
        assert "\\u001b" not in text


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "unknown"], "unknown"),
        (["unknown", "failed"], "failed"),
        ([], "unknown"),
    ],
)
def test_what_could_not_be_checked_is_not_passed(verdicts: list[str], whole: str):
    """Nor is nothing at all."""
    make = {"passed": passed("x"), "failed": failed("x", advice.START), "unknown": unknown("x", advice.START)}
    lines = [Line(CHECKS[0], CHECKS[0].items[0], make[one]) for one in verdicts]
    assert overall(lines) is Verdict(whole)


def test_the_published_schema_is_the_one_that_is_written(checkout: Path):
    """docs/schemas/readiness.schema.json is what `perfloop check --schema` prints."""
    assert json.loads((checkout / "docs" / "schemas" / "readiness.schema.json").read_text()) == readiness_schema()


def test_every_check_is_documented(checkout: Path):
    """With its name, and every flag."""
    page = (checkout / "docs" / "readiness.md").read_text()
    assert [one.name for one in CHECKS if f"`{one.name}`" not in page] == []
