"""The command line through its real entry point."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop import cli, extras
from perfloop.cli import PROGRAMS, build_parser, render_completion
from perfloop.stack.app import COMMANDS
from perfloop.stack.settings import find_program_environment

if TYPE_CHECKING:
    from pathlib import Path


def _run(*arguments: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perfloop", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={**os.environ, "PERFLOOP_HOME": str(directory / "home"), "DOCKER_HOST": "unix:///none", **environment},
    )


def test_help_lists_every_command(tmp_path: Path) -> None:
    """`perfloop --help` ends with 0 and names every command and program with what it does."""
    done = _run("--help", directory=tmp_path)
    assert done.returncode == 0
    for name in (*COMMANDS, *PROGRAMS, "completion"):
        assert re.search(rf"^ +{name}\s+\w", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("status",), 6, "perfloop: no stack runs in .+/home: `perfloop up` starts one"),
        (("logs", "demo"), 6, "perfloop: unknown component 'demo': this stack has supervisord, guardian"),
        (("stat",), 2, "perfloop: .*invalid choice: 'stat'.*"),
        (("up", "--native", "--docker"), 2, "perfloop: .*not allowed with.*"),
        (("up", "--nativ"), 2, "perfloop: unknown flag: '--nativ'; did you mean --native\\?"),
        (("down",), 0, "no stack was running"),
    ],
)
def test_exit_codes(tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    """Each refusal is one sentence on stderr and its own exit code."""
    done = _run(*arguments, directory=tmp_path)
    assert done.returncode == code, done.stderr
    assert re.fullmatch(sentence, done.stderr.strip()), done.stderr


def test_no_command_at_all(tmp_path: Path) -> None:
    """`perfloop` alone shows the help and ends with 2."""
    done = _run(directory=tmp_path)
    assert done.returncode == 2
    assert "commands:" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_has_every_command(shell: str) -> None:
    """The script of each shell has every command, and the flags of the programs."""
    script = render_completion(shell)
    assert [name for name in (*COMMANDS, *PROGRAMS, "completion") if name not in script] == []
    dashes = "" if shell == "tcsh" else "--"  # tcsh's own form adds them
    wanted = [f"{dashes}{flag}" for flag in ("collector.cpu", "no-demo", "send-test", "web.listen-address")]
    assert [flag for flag in wanted if flag not in script] == []


def test_completion_has_every_flag_of_the_exporter() -> None:
    """No flag that the exporter takes is missing from the bash script."""
    from perfloop_exporter.cli import build_parser as exporter_parser

    script = render_completion("bash")
    flags = {
        flag for action in exporter_parser()._actions for flag in action.option_strings if action.help != "==SUPPRESS=="
    }
    assert sorted(flag for flag in flags if flag not in script) == []


def test_bash_accepts_the_completion(tmp_path: Path) -> None:
    """Bash completes a command and a flag by the script."""
    script = tmp_path / "perfloop.bash"
    script.write_text(render_completion("bash"))
    ask = f"source {script}; COMP_WORDS=(perfloop up --no); COMP_CWORD=2; _shtab_perfloop; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--no-demo"]


def test_every_program_has_a_parser_and_a_main() -> None:
    """What the door to each program relies on is there."""
    from importlib import import_module

    for program in PROGRAMS.values():
        module = import_module(program.module)
        assert callable(module.main)
        assert module.build_parser().prog


def test_an_import_that_fails_for_another_reason_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of our own that cannot be found is a mistake, not a missing extra."""
    broken = {"exporter": cli.Program("broken", "perfloop_exporter.no_such_module", "exporter")}
    monkeypatch.setattr(cli, "PROGRAMS", broken)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        cli.main(["exporter"])


def test_a_library_that_is_broken_inside_keeps_its_traceback() -> None:
    """Only a library that is absent is explained."""
    assert extras.explain_missing(ImportError("cannot import name 'x'", name="numpy"), "analyzer") is None
    assert extras.explain_missing(ModuleNotFoundError("no such", name="numpy.core.missing_numpy_bit"), "stack") is None
    found = extras.explain_missing(ModuleNotFoundError("no such", name="numpy"), "analyzer")
    assert found == "numpy is not installed: `pip install 'perfloop[analyzer]'` installs it"


def test_programs_find_the_stack_of_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's home and ports are those of the current directory's stack, and `.env` moves them."""
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "prometheus.yml").touch()
    (tmp_path / ".env").write_text("PERFLOOP_ANALYZER_PORT=20110\nSECRET=1\n")
    monkeypatch.chdir(tmp_path)
    found = find_program_environment({})
    assert found == {"PERFLOOP_ANALYZER_PORT": "20110", "PERFLOOP_HOME": str(tmp_path / ".perfloop")}


def test_the_hidden_flag_is_not_in_the_help() -> None:
    """`--resume` is for the guardian alone."""
    parser = build_parser()
    (commands,) = (action.choices for action in parser._actions if action.dest == "command")  # type: ignore[union-attr]
    assert "--resume" not in commands["up"].format_help()  # type: ignore[index,call-overload]
