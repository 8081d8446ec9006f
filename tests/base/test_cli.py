from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_base import redaction
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard
from perfloop_base.errors import ConfigError, ExitCode, ListenError, PerfloopError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def command_line() -> Parser:
    """Return a parser with one command."""
    parser = Parser(prog="program")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--web.listen-address")
    add_log_flags(run)
    return parser


@pytest.mark.parametrize(
    ("argv", "problems"),
    [
        (["run", "--web.listen-adress=:1"], ["'--web.listen-adress=:1'; did you mean --web.listen-address?"]),
        (["run", "--log.levle", "debug"], ["'--log.levle'; did you mean --log.level?"]),
        (["run", "--storage"], ["'--storage'"]),
        (["run", "--web.listen"], ["'--web.listen'"]),
        (["run", "-x", "-y"], ["'-x'", "'-y'"]),
    ],
)
def test_unknown_flags(argv: list[str], problems: list[str]):
    """An unknown flag is an error with a suggestion where one is near; no flag may be shortened."""
    with pytest.raises(ConfigError) as caught:
        command_line().parse_args(argv)
    assert caught.value.problems == tuple(f"unknown flag: {problem}" for problem in problems)


@pytest.mark.parametrize(("word", "near"), [("rnu", "; did you mean run?"), ("status", "")])
def test_an_unknown_command_is_named(word: str, near: str):
    """What argparse itself refuses is a ConfigError too, with a suggestion where a command is near."""
    with pytest.raises(ConfigError) as caught:
        command_line().parse_args([word])
    assert str(caught.value).replace("'run'", "run") == f"command: invalid choice: {word!r} (choose from run){near}"


def test_log_flags():
    """The level and the format of the log have the same flags and values everywhere."""
    with pytest.raises(ConfigError) as caught:
        command_line().parse_args(["run", "--log.level=loud", "--log.format=xml"])
    assert caught.value.problems == (
        "--log.level: 'loud' is not one of debug, info, warn, error",
        "--log.format: 'xml' is not one of logfmt, json",
    )


def raising(error: BaseException) -> Callable[[], int]:
    """Return a command that fails."""

    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "lines", "code"),
    [
        (ConfigError(["one", "two"]), ["program: one", "program: two"], ExitCode.USAGE),
        (ListenError("port 1 is taken"), ["program: port 1 is taken"], ExitCode.PORT_TAKEN),
        (PerfloopError("it failed"), ["program: it failed"], ExitCode.FAILED),
        (FileNotFoundError(2, "No such file or directory", "x.yml"), ["program: x.yml: No such file or directory"], 1),
        (OSError("bad"), ["program: bad"], ExitCode.FAILED),
        (TimeoutError(), ["program: TimeoutError"], ExitCode.FAILED),
        (KeyboardInterrupt(), ["program: interrupted"], 130),
        (SystemExit(0), [], ExitCode.OK),
        (SystemExit(None), [], ExitCode.OK),
    ],
)
def test_errors_are_sentences(error: BaseException, lines: list[str], code: int, capsys: pytest.CaptureFixture[str]):
    """Every expected error is one sentence per problem, after the program's name, and an exit code."""
    assert code == guard("program", raising(error))
    assert lines == capsys.readouterr().err.splitlines()


def test_an_unexpected_exception_is_not_hidden():
    """A mistake in the program keeps its traceback."""
    with pytest.raises(ZeroDivisionError):
        guard("program", lambda: 1 // 0)


def test_a_closed_pipe_is_silent():
    """`program | head` ends without a word when head has seen enough."""
    code = "from perfloop_base.cli import guard; exit(guard('p', lambda: [print('x' * 999) for _ in range(999)] and 0))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == ExitCode.FAILED


def test_exit_codes_of_a_command():
    """The end of a command's help has its exit codes."""
    assert exit_codes(ExitCode.OK, ExitCode.PORT_TAKEN) == "Exit codes: 0 ok, 3 port taken."
    assert argparse.ArgumentParser(epilog=exit_codes(ExitCode.OK)).format_help().endswith("Exit codes: 0 ok.\n")


@pytest.mark.parametrize(
    "word",
    ["--store.pasword=m4rked-S3cret", "--passwrod=m4rked-S3cret", "--tokn=m4rked-S3cret", "--x=u:m4rked-S3cret@h"],
)
def test_a_flag_with_a_mistake_does_not_show_its_value(word: str, capsys: pytest.CaptureFixture[str]):
    """The name is wrong and says nothing of the value, which is shown only where a flag near it takes no secret."""

    def command() -> int:
        parser = command_line()
        parser.add_argument("--store.password")
        parser.parse_args([word, "run"])
        return 0

    assert guard("program", command) == ExitCode.USAGE
    assert f"{word.partition('=')[0]}=<secret>" in capsys.readouterr().err


def test_flags_come_from_a_file(tmp_path: Path):
    """`@FILE` holds a flag a line: what is secret need not be on a command line, which everyone can read."""
    (tmp_path / "flags").write_text("# where it listens\n--web.listen-address=:1\n\n  --log.level=debug  \n")
    found = command_line().parse_args(["run", f"@{tmp_path}/flags"])
    assert (vars(found)["web.listen_address"], vars(found)["log.level"]) == (":1", "debug")


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), (b"\xff", "is not UTF-8 text")])
def test_a_file_of_flags_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes | None, problem: str):
    """A missing file and one of another kind."""
    if content is not None:
        (tmp_path / "flags").write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        command_line().parse_args(["run", f"@{tmp_path}/flags"])


def test_sentences_show_no_secret_and_no_escape_sequence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """What a person reads is redacted, the values of the environment's secrets with it, and safe for a terminal."""
    monkeypatch.setattr(redaction, "_registered", ())
    monkeypatch.setenv("PERFLOOP_TEST_PASSWORD", "m4rked-S3cret")
    assert guard("program", raising(ConfigError(["m4rked-S3cret \x1b[2J", "http://u:other-s3cret@host is down"]))) == 2
    assert capsys.readouterr().err == "program: <secret> \\x1b[2J\nprogram: http://<secret>@host is down\n"
