"""Runs that are named: where they come from, what is refused, the exit code and the reports."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen.app.certifying import find_certificate, write_certificate
from perfloop_loadgen.app.comparing import Options, compare_named, worst_code
from perfloop_loadgen.compare.noise import certify
from perfloop_loadgen.store.location import standing_url
from perfloop_loadgen.store.runs import Retention, open_for_writing
from perfloop_loadgen.summary.document import to_json
from tests.loadgen.known_runs import build_run, build_runs

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.summary.document import Document

P95 = Options(measures=("p95",))


def written(directory: Path, name: str, runs: list[Document]) -> list[str]:
    """The runs as JSON reports."""
    paths = [directory / f"{name}{number}.json" for number in range(len(runs))]
    for path, run in zip(paths, runs, strict=True):
        path.write_bytes(to_json(run))
    return [str(path) for path in paths]


@pytest.mark.parametrize(
    ("factor", "count", "code"),
    [(1.0, 5, ExitCode.OK), (0.8, 5, ExitCode.OK), (1.2, 5, ExitCode.FAILED), (1.2, 2, ExitCode.UNDECIDED)],
)
def test_each_answer_has_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float, count: int, code: ExitCode
):
    """Same and better are fine, worse is a failure, and what is undecided has a code of its own."""
    base = written(tmp_path, "base", build_runs(0.1, count, 1))
    new = written(tmp_path, "new", build_runs(0.1 * factor, count, 2))
    assert compare_named(base, new, P95) is code
    assert "| all | p95 | " in capsys.readouterr().out


def test_stored_runs_and_baselines_are_named_like_files(tmp_path: Path):
    """By an id, its beginning, `latest`, and a baseline's name; with files on the other side."""
    runs = build_runs(0.1, 6, 1)
    with closing(open_for_writing(standing_url(), Retention())) as store:
        for run in runs:
            store.save(run)
        store.set_baseline("main", [run.run_id for run in runs[:5]])
    slow = written(tmp_path, "new", build_runs(0.2, 5, 2))
    assert compare_named(["baseline:main"], slow, P95) is ExitCode.FAILED
    assert compare_named([run.run_id for run in runs[:5]], slow, P95) is ExitCode.FAILED
    with pytest.raises(
        ConfigError, match=r"^'?baseline:none'? names no stored run: `perfloop loadgen runs` lists them"
    ):
        compare_named(["baseline:none"], slow, P95)


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        ("missing.json", r"missing\.json: cannot be read: No such file or directory"),
        ("baseline:none", r"'?baseline:none'? is neither a JSON report nor a stored run: no run is stored"),
        ("abcdef", r"'?abcdef'? is neither a JSON report nor a stored run: no run is stored"),
    ],
)
def test_a_name_of_nothing_is_one_sentence(tmp_path: Path, base: str, sentence: str):
    """A file that is not there, a baseline that is not set, a run that is not stored."""
    new = written(tmp_path, "new", build_runs(0.1, 1, 2))
    with pytest.raises(ConfigError, match=sentence):
        compare_named([base], new, P95)


def test_runs_that_do_not_compare_are_refused_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Every reason, once; with force it stands in the result."""
    base = written(tmp_path, "base", build_runs(0.1, 5, 1))
    new = written(tmp_path, "new", build_runs(0.1, 5, 2, profile="spike"))
    with pytest.raises(ConfigError) as caught:
        compare_named(base, new, P95)
    assert caught.value.problems == (
        "the runs do not compare: the load shape differs: 'constant_users' and 'spike' (--force compares anyway)",
    )
    assert compare_named(base, new, Options(measures=("p95",), force=True)) is ExitCode.OK
    assert "- compared although the load shape differs" in capsys.readouterr().out


def test_a_gate_finer_than_the_noise_is_refused_with_what_is_possible(tmp_path: Path):
    """Between two groups of one build there is more difference than the gate allows: it would say nothing."""
    write_certificate(certify(build_runs(0.1, 10, 3, spread=0.03)))
    base, new = written(tmp_path, "base", build_runs(0.1, 5, 1)), written(tmp_path, "new", build_runs(0.1, 5, 2))
    with pytest.raises(
        ConfigError, match=r"^--min-effect 0\.5% is finer than this machine's own noise: p95 of t differs"
    ) as caught:
        compare_named(base, new, Options(min_effect=0.005, measures=("p95",)))
    [problem] = caught.value.problems
    possible = float(problem.partition("possible is --min-effect ")[2].partition("%")[0])
    assert 2 < possible < 15
    assert compare_named(base, new, Options(min_effect=possible / 100, measures=("p95",))) is not ExitCode.USAGE
    runs = int(problem.partition("%, or ")[2].partition(" runs a side")[0])
    assert runs > 5


def test_a_certificate_is_found_by_what_it_is_about(tmp_path: Path):
    """A later one of the same test takes its place; a corrupt file is moved aside."""
    first, second = (certify(build_runs(0.1, count, 3)) for count in (8, 9))
    path = write_certificate(first)
    assert write_certificate(second) == path
    found = find_certificate(build_run(0.1, 1))
    assert found == second
    assert find_certificate(build_run(0.1, 1, profile="spike")) is None
    path.write_text("{")
    assert find_certificate(build_run(0.1, 1)) is None
    assert [one.name for one in path.parent.iterdir() if ".corrupt-" in one.name]


def test_every_kind_of_report_is_written(tmp_path: Path):
    """Markdown for a pull request, JUnit and JSON; what cannot be written has an exit code that hides no regression."""
    base, new = written(tmp_path, "base", build_runs(0.1, 5, 1)), written(tmp_path, "new", build_runs(0.2, 5, 2))
    files = {kind: tmp_path / "reports" / f"report.{kind}" for kind in ("markdown", "junit", "json")}
    assert compare_named(base, new, Options(reports=files)) is ExitCode.FAILED
    page = files["markdown"].read_text()
    assert page.startswith("### t: worse: ")
    assert "| **worse** |" in page
    suite: Any = ET.fromstring(files["junit"].read_bytes())
    assert (suite.get("tests"), suite.get("failures")) == (str(len(suite)), str(len(suite.findall("testcase/failure"))))
    assert int(suite.get("failures")) >= 2
    document = json.loads(files["json"].read_text())
    assert document["answer"] == "worse"
    assert len(document["base_runs"]) == 5
    (tmp_path / "file").touch()
    bad = Options(reports={"json": tmp_path / "file" / "x.json"})
    assert compare_named(base, new, bad) is ExitCode.FAILED
    assert (
        compare_named(
            base, written(tmp_path, "same", build_runs(0.1, 5, 3)), Options(measures=("p95",), reports=bad.reports)
        )
        is ExitCode.NOT_WRITTEN
    )


def test_what_is_proved_outweighs_what_is_not():
    """Of several tests: a regression is not hidden by a test that is undecided."""
    assert worst_code([ExitCode.UNDECIDED, ExitCode.FAILED, ExitCode.OK]) is ExitCode.FAILED
    assert worst_code([ExitCode.FAILED, ExitCode.INVALID]) is ExitCode.INVALID
    assert worst_code([]) is ExitCode.OK
