"""The page for users of other load generators: its files load, its commands are commands, and one of each is run."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from perfloop_base.flags import read_flags
from perfloop_loadgen.app.build import build_shape
from perfloop_loadgen.app.suite import build_tester
from perfloop_loadgen.cli import Selection, adjust_all, build_parser, read_tests
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.pacing import ConstantRate, ConstantUsers
from perfloop_loadgen.run_flags import LoadFlags

PAGE = Path(__file__).parents[2] / "docs" / "coming_from.md"
TOOLS = ("k6", "Locust", "wrk, wrk2, oha, hey", "vegeta", "guidellm")


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (title, block)
        for title, text in _sections().items()
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    ]


def _commands() -> list[str]:
    lines = [line for _, block in _blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("perfloop loadgen run")]


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_has_a_table_and_an_example(tool: str):
    """What it calls things, and one test that says the same."""
    text = _sections()[tool]
    assert len(re.findall(r"^\| .+ \| .+ \|$", text, flags=re.MULTILINE)) >= 8
    assert "```yaml" in text or "perfloop loadgen run http" in text


@pytest.mark.parametrize(("tool", "text"), _blocks("yaml"))
def test_its_files_load(tool: str, text: str, tmp_path: Path):
    """Every rule of a test file is kept, gates included."""
    path = tmp_path / "test.yml"
    path.write_text(text, encoding="utf-8")
    for config in LoadTestConfig.all_from_yaml(path).values():
        assert build_tester(config).planned_seconds == config.duration_seconds, tool


def _config(command: str) -> LoadTestConfig:
    arguments = build_parser().parse_args(shlex.split(command)[2:])
    tests = read_tests(arguments, read_flags(Selection, arguments))
    [config] = adjust_all(tests, read_flags(LoadFlags, arguments))
    return config


def test_its_commands_are_commands():
    """Each gives the load that the other tool's line has."""
    assert [build_shape(_config(command)) for command in _commands()] == [
        ConstantRate(200, 30),
        ConstantUsers(50, 30),
        ConstantRate(200, 30),
    ]


def test_flags_that_it_names_exist():
    """Those of the right-hand column are flags of `run`."""
    cells = [line.split(" | ", 1)[1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = {flag for cell in cells for flag in re.findall(r"`(--[a-z][a-z.-]+)", cell)}
    assert len(named) > 8
    for flag in named:
        assert flag in _help(), flag


def _help() -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        build_parser().parse_args(["run", "--help"])
    return output.getvalue()


async def test_one_of_them_runs(hello: Any):
    """The example for wrk2, for half a second, against a service of this test."""
    command = _commands()[0].replace("http://127.0.0.1:8000", hello.url).replace("30s", "500ms")
    summary = await build_tester(_config(command)).run_load_test()
    assert summary.successful_requests == len(hello.requests) == 100
