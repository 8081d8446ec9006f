"""The command `import`: from a file, the standard input or the command line to a file that `run` takes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_loadgen.cli import main
from perfloop_loadgen.config import LoadTestConfig

if TYPE_CHECKING:
    from pathlib import Path

HAR = json.dumps({"log": {"entries": [{"request": {"method": "GET", "url": "http://h.example/ü"}}]}})
OPENAPI = "openapi: 3.1.0\npaths: {/a: {get: {}}}\n"
POSTMAN = json.dumps({"item": [{"name": "r", "request": "http://h.example/x"}]})
CURL = "curl -H 'Authorization: Bearer s3cr3t-t0ken' http://h.example/x"
SOURCES = {"har": HAR, "openapi": OPENAPI, "postman": POSTMAN, "curl": CURL}


@pytest.mark.parametrize("form", SOURCES)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files(form: str, mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each form, with the mark of some editors or without, is printed as a test that is read again."""
    source, made = tmp_path / "api.v1.txt", tmp_path / "made.yml"
    source.write_text(mark + SOURCES[form], encoding="utf-8")
    assert main(["import", form, str(source)]) == 0
    made.write_text(capsys.readouterr().out, encoding="utf-8")
    assert LoadTestConfig.from_yaml(made).name == "api.v1"


@pytest.mark.parametrize("form", SOURCES)
def test_the_standard_input(form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What another program prints, or a person pastes."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SOURCES[form].encode())))
    assert main(["import", form, "-"]) == 0
    assert f"load_tests:\n  {form}:\n" in capsys.readouterr().out


def test_a_command_of_curl_in_quotes(capsys: pytest.CaptureFixture[str]):
    """Its secrets are in neither output."""
    assert main(["import", "curl", CURL]) == 0
    assert main(["import", "curl", f"{CURL} --nonsense s3cr3t-t0ken"]) == 2
    said = capsys.readouterr()
    assert "${env:AUTHORIZATION}" in said.out
    assert "s3cr3t-t0ken" not in said.out + said.err
    assert "perfloop loadgen: the command: --nonsense: is no option of curl that is known here" in said.err


@pytest.mark.parametrize("form", SOURCES)
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe\x00", "line 1 is not UTF-16 text"),
        (b"a: [\n\xe4", "line 2 is not UTF-8 text (byte 0xe4): save it as UTF-8"),
        (b"", ""),
        (b"\x00", ""),
        (b"[" * 100_000, ""),
        (b"- " * 100_000, ""),
        (b'{"a":' * 100_000, ""),
        (b"&a [*a, *b]", ""),
        (b"? [a]\n: b", ""),
    ],
    ids=[
        "cut UTF-16",
        "Latin-1",
        "nothing",
        "NUL",
        "brackets",
        "dashes",
        "braces",
        "an alias to itself",
        "a list as a key",
    ],
)
def test_what_is_no_such_document(
    form: str, content: bytes, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2 and one sentence."""
    source = tmp_path / "x.json"
    source.write_bytes(content)
    began = time.monotonic()
    assert main(["import", form, str(source)]) == 2
    assert time.monotonic() - began < 10
    said = capsys.readouterr().err
    assert said.startswith(f"perfloop loadgen: {source}: ")
    assert problem in said
    assert len(said.splitlines()) == 1


def test_the_printed_file_is_utf_8():
    """Whatever the terminal is: it goes into a file of tests."""
    command = [sys.executable, "-m", "perfloop_loadgen", "import", "postman", "-"]
    asked = json.dumps({"item": [{"name": "Gr\u00f6\u00dfe", "request": "http://h.example/x"}]})
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    printed = subprocess.run(
        command, input=asked.encode(), capture_output=True, env=environment, check=True, timeout=60
    )
    assert "name: Gr\u00f6\u00dfe" in printed.stdout.decode("utf-8")


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nor a directory, nor a form that nobody knows."""
    assert main(["import", "har", str(tmp_path / "no.har")]) == 2
    assert main(["import", "har", str(tmp_path)]) == 2
    assert main(["import", "jmx", "x"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.rpartition(": ")[2] for line in said[:2]] == ["No such file or directory", "Is a directory"]
    assert "invalid choice: 'jmx'" in said[2]
