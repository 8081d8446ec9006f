"""The commands about stored runs: what they print, and each mistake in one sentence."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ExitCode
from perfloop_loadgen.cli import main
from perfloop_loadgen.store.location import directory, make_directory, standing_url
from perfloop_loadgen.store.runs import Retention, RunStore
from perfloop_loadgen.store.unsaved import UnsavedRun, key_of
from perfloop_loadgen.summary.document import from_json
from perfloop_loadgen.summary.verdict import Verdict
from tests.loadgen.stored_runs import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def runs() -> list[str]:
    """Three stored runs: their ids, the oldest first."""
    make_directory()
    with contextlib.closing(RunStore(repair=True)) as store:
        for number in range(3):
            store.save(
                run(
                    number, test="cart" if number == 1 else "shop", labels={"version": f"1.{number}"}, revision="c" * 40
                )
            )
        store.save(run(9, verdict=Verdict.INVALID))
    return [f"{number:012x}" for number in range(3)]


def test_runs_lists_the_newest_first(runs: list[str], capsys: pytest.CaptureFixture[str]):
    """In columns, with labels and the commit."""
    assert main(["runs"]) == ExitCode.OK
    title, first, *others = capsys.readouterr().out.splitlines()
    assert title.split() == ["RUN", "BEGAN", "TEST", "RESULT", "P95", "RATE", "FAILED", "LABELS", "REVISION"]
    assert first.split()[:5] == [f"{9:012x}", "2026-01-01", "09:00:00Z", "shop", "invalid"]
    assert others[0].split()[-2:] == ["version=1.2", "cccccccc"]
    assert len(others) == 3


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        (["--test", "cart"], [1]),
        (["--label", "version=1.2"], [2]),
        (["--limit", "2"], [9, 2]),
        (["--test", "shop", "--label", "version=1.1"], []),
    ],
)
def test_runs_are_chosen(runs: list[str], capsys: pytest.CaptureFixture[str], flags: list[str], numbers: list[int]):
    """By test, label and number; as JSON for programs."""
    assert main(["runs", "--json", *flags]) == ExitCode.OK
    listed = json.loads(capsys.readouterr().out)
    assert [int(one["run_id"], 16) for one in listed] == numbers
    assert all(one["started_at"].startswith("2026-01-01T") for one in listed)


def test_before_the_first_run_nothing_is_listed_and_nothing_is_made(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Commands that read leave no file behind."""
    assert main(["runs"]) == ExitCode.OK
    assert main(["runs", "--json"]) == ExitCode.OK
    assert main(["baseline", "list"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == ["no run is stored", "[]", "no baseline is set"]
    assert main(["history", "--out", str(tmp_path / "h.html")]) == ExitCode.OK
    assert "No run is stored." in (tmp_path / "h.html").read_text()
    assert not directory().exists()


def test_show_prints_a_run_or_writes_its_reports(runs: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """The whole document as JSON; every kind of report."""
    assert main(["show", runs[0]]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "202 requests" in shown
    assert "version=1.0" in shown
    assert main(["show", "latest~1", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["run_id"] == runs[2]
    kinds = ("json", "html", "csv", "junit", "markdown")
    files = [f"--report.{kind}={tmp_path / f'r.{kind}'}" for kind in kinds]
    assert main(["show", runs[1], *files]) == ExitCode.OK
    assert capsys.readouterr().out == ""
    assert from_json(tmp_path / "r.json").run_id == runs[1]
    assert all((tmp_path / f"r.{kind}").stat().st_size for kind in kinds)


def test_a_baseline_is_set_listed_and_removed(runs: list[str], capsys: pytest.CaptureFixture[str]):
    """By references of every kind; the facts are published with each change."""
    assert main(["baseline", "set", "main", runs[0], "latest~1", runs[1][:12]]) == ExitCode.OK
    assert main(["baseline", "set", "next", "baseline:main"]) == ExitCode.OK
    capsys.readouterr()
    assert main(["baseline", "list", "--json"]) == ExitCode.OK
    listed = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["test"], one["run_ids"]) for one in listed] == [
        (name, test, ids)
        for name in ("main", "next")
        for test, ids in (("cart", [runs[1]]), ("shop", [runs[0], runs[2]]))
    ]
    facts = json.loads((directory() / "history.json").read_text())
    assert facts["tests"]["shop"]["baselines"] == ["main", "next"]
    assert main(["show", "baseline:main"]) == ExitCode.USAGE
    assert "baseline:main has several runs: name one of" in capsys.readouterr().err
    assert main(["baseline", "rm", "main"]) == ExitCode.OK
    assert main(["baseline", "list"]) == ExitCode.OK
    assert "main" not in capsys.readouterr().out
    assert json.loads((directory() / "history.json").read_text())["tests"]["cart"]["baselines"] == ["next"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["show", "zz"], ExitCode.USAGE, "'zz' names no stored run: `perfloop loadgen runs` lists them"),
        (["show", "0000"], ExitCode.USAGE, "0000 is the beginning of several runs: "),
        (["show", "../x"], ExitCode.USAGE, "'../x' names no run: write an id or its beginning"),
        (["baseline", "rm", "main"], ExitCode.USAGE, "there is no baseline 'main'"),
        (["baseline", "set", "a b", "latest"], ExitCode.USAGE, "'a b' is no name of a baseline"),
        (["baseline", "set", "main", "latest"], ExitCode.USAGE, "the run 000000000009 was invalid"),
        (["runs", "--label", "version"], ExitCode.USAGE, "'version' is not a label: write NAME=VALUE"),
        (["runs", "--label", "api_token=x"], ExitCode.USAGE, "'api_token' is the name of a secret: every report"),
        (["runs", "--label", "a=1", "--label", "a=2"], ExitCode.USAGE, "--label a: given with several values"),
        (["runs", "--limit", "0"], ExitCode.USAGE, "'0' is too small"),
        (["runs", "--store.url", "none"], ExitCode.USAGE, "--store.url is none: nothing is stored"),
        (["runs", "--store.url-file", "/absent"], ExitCode.USAGE, "--store.url-file: /absent cannot be read"),
        (["history", "--out", "/proc/absent/h.html"], ExitCode.NOT_WRITTEN, "--out: /proc/absent/h.html cannot be"),
    ],
)
def test_a_mistake_is_one_sentence(
    runs: list[str], capsys: pytest.CaptureFixture[str], words: list[str], code: ExitCode, sentence: str
):
    """With the thing, the value and the rule, and its exit code."""
    assert main(words) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["show", "latest"], ["baseline", "set", "main", "latest"], ["baseline", "rm", "main"]]
)
def test_before_the_first_run_there_is_nothing_to_name(capsys: pytest.CaptureFixture[str], words: list[str]):
    """It is said, and nothing is made."""
    assert main(words) == ExitCode.USAGE
    assert "no run is stored" in capsys.readouterr().err
    assert not directory().exists()


def test_commands_that_read_delete_no_run(runs: list[str], capsys: pytest.CaptureFixture[str]):
    """Not even when they bring in one that waited: only `run` says what is kept."""
    old = run(-10_000)
    waiting = UnsavedRun("aa", key_of(standing_url()))
    waiting.write(waiting.of_document(replace(run(-20_000), run_id="aa")))
    with contextlib.closing(RunStore(retention=Retention.everything())) as store:
        store.save(replace(old, run_id="bb"))
    assert main(["runs", "--json"]) == ExitCode.OK
    assert [one["run_id"] for one in json.loads(capsys.readouterr().out)][-2:] == ["bb", "aa"]


def test_all_wrong_references_are_said_together(runs: list[str], capsys: pytest.CaptureFixture[str]):
    """Nobody has to try one after the other."""
    assert main(["baseline", "set", "main", "zz", "yy", runs[0]]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("names no stored run") == 2


def test_a_damaged_database_is_one_sentence(capsys: pytest.CaptureFixture[str]):
    """A command that reads moves nothing."""
    (make_directory() / "runs.db").write_text("no database\n" * 500)
    assert main(["runs"]) == ExitCode.STORE_FAILED
    assert "file is not a database" in capsys.readouterr().err
    assert (directory() / "runs.db").exists()


def test_the_url_may_be_in_a_file(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """So that no password stands on a command line."""
    file = tmp_path / "url"
    file.write_text(f"sqlite:///{directory() / 'runs.db'}\n")
    assert main(["runs", "--json", "--store.url-file", str(file)]) == ExitCode.OK
    assert len(json.loads(capsys.readouterr().out)) == 4


def test_history_is_a_page_of_the_chosen_runs(runs: list[str], tmp_path: Path):
    """Each test with a section of its own."""
    page = tmp_path / "deep" / "history.html"
    assert main(["history", "--out", str(page)]) == ExitCode.OK
    assert page.read_text().count("<section>") == 2
    assert main(["history", "--out", str(page), "--test", "cart"]) == ExitCode.OK
    assert page.read_text().count("<section>") == 1
