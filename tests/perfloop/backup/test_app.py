"""`perfloop backup` as people run it, and what `perfloop check` then knows."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from perfloop.backup.cli import main
from perfloop.backup.errors import BackupError
from perfloop.backup.records import read_records
from perfloop.check import advice, backups
from perfloop.check.findings import Verdict
from perfloop.stack import records
from tests.perfloop.backup.test_archive import make_database
from tests.support.readiness import Done, looked, make_sources, run_here

SECRET = "https://hooks.slack.test/services/T1/B1/s3cretsecret"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack of a person's own that was stopped: its databases, silences, a proof, configuration and a secret."""
    home = tmp_path / "home"
    for name in ("analyzer", "loadgen", "alertmanager", "proofs"):
        (home / name).mkdir(parents=True)
    make_database(home / "analyzer" / "analyzer.sqlite")
    make_database(home / "loadgen" / "runs.db")
    (home / "alertmanager" / "silences").write_bytes(b"silences")
    (home / "proofs" / "p.json").write_text("{}")
    (tmp_path / "prometheus" / "targets").mkdir(parents=True)
    (tmp_path / "prometheus" / "prometheus.yml").write_text("scrape_configs: []\n")
    (tmp_path / "prometheus" / "targets" / "shop.yml").write_text("[]\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "slack_api_url").write_text(SECRET)
    (tmp_path / ".env").write_text("DATABASE_URL=postgres://u:s3cretsecret@h/d\n")
    (tmp_path / "backups").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFLOOP_HOME", str(home))
    monkeypatch.delenv("PERFLOOP_LOADGEN_STORE_URL", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///none")
    return tmp_path


def run(*arguments: str) -> Done:
    """Run `perfloop backup`."""
    return run_here(main, *arguments)


def make(*arguments: str) -> Path:
    """Make a backup and return the file."""
    done = run("create", "backups", *arguments)
    assert done.returncode == 0, done.stderr
    return read_records_path()


def read_records_path() -> Path:
    """Return the file of the newest backup."""
    return Path(read_records(Path(os.environ["PERFLOOP_HOME"]))[0].path)


def test_all_comes_back(stack: Path):
    """Into an empty home and directory, private, without any secret that was not asked for."""
    file = make()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"s3cretsecret" not in subprocess.run(["gunzip", "-c", str(file)], capture_output=True, check=True).stdout
    shutil.rmtree(stack / "home")
    (stack / "prometheus" / "targets" / "shop.yml").unlink()
    done = run("restore", str(file))
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(stack / "home" / "loadgen" / "runs.db")) as connection:
        assert connection.execute("SELECT count(*) FROM pairs").fetchone() == (100,)
    assert (stack / "home" / "alertmanager" / "silences").read_bytes() == b"silences"
    assert (stack / "prometheus" / "targets" / "shop.yml").read_text() == "[]\n"
    assert stat.S_IMODE((stack / "home").stat().st_mode) == 0o700
    assert stat.S_IMODE((stack / "home" / "analyzer" / "analyzer.sqlite").stat().st_mode) == 0o600


def test_secrets_are_in_it_when_asked_for(stack: Path):
    """And come back so that their owner alone may read them."""
    done = run("create", "backups")
    assert "left out: secrets/slack_api_url, .env, unless --with-secrets is given" in done.stdout
    file = make("--with-secrets")
    (stack / "secrets" / "slack_api_url").unlink()
    (stack / ".env").unlink()
    assert run("restore", str(file)).returncode == 0
    assert (stack / "secrets" / "slack_api_url").read_text() == SECRET
    assert stat.S_IMODE((stack / "secrets" / "slack_api_url").stat().st_mode) == 0o600
    assert (stack / ".env").exists()


def test_what_differs_is_not_lost(stack: Path):
    """It is an error, or moved aside, with the journal of a database that would damage the other."""
    file = make()
    database = stack / "home" / "analyzer" / "analyzer.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM pairs")
    database.with_name("analyzer.sqlite-journal").write_bytes(b"old")
    refused = run("restore", str(file))
    assert refused.returncode == 1
    assert "differ from the backup: --replace moves what is there aside" in refused.stderr
    assert run("restore", str(file), "--replace").returncode == 0
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM pairs").fetchone() == (100,)
    aside = sorted(path.name for path in database.parent.glob("*before-restore*"))
    assert [name.partition(".before")[0] for name in aside] == ["analyzer.sqlite-journal", "analyzer.sqlite"]


def test_a_stack_that_runs_is_not_restored_into(stack: Path):
    """Its programs would write over it."""
    file = make()
    records.save_running(stack / "home", records.Running("native", demo=False, components=()))
    done = run("restore", str(file))
    assert (done.returncode, "`perfloop down` first" in done.stderr) == (5, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("create", "home"), 11, "which it is a backup of: give another place"),
        (("create", "none/b.tar.gz"), 11, "none is no directory"),
        (("create", "prometheus/prometheus.yml"), 11, "is there already"),
        (("restore", "none"), 1, "none is no file"),
        (("restore", "prometheus/prometheus.yml"), 1, "cannot be read as a backup"),
        (("verify", "none"), 1, "cannot be read as a backup"),
        ((), 2, "ACTION"),
        (("make", "x"), 2, "invalid choice"),
    ],
)
def test_bad_input_is_one_sentence(stack: Path, arguments: tuple[str, ...], code: int, words: str):
    """With its own code."""
    done = run(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_without_anything_there_is_nothing_to_back_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty archive would look like a backup."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "prometheus.yml").touch()
    (tmp_path / "backups").mkdir()
    done = run("create", "backups")
    assert done.returncode == 11
    assert "there is nothing to back up" in done.stderr


def test_the_list_says_what_is_there_no_more(stack: Path):
    """Newest first, with what each holds."""
    assert run("list").stdout == "no backup was made\n"
    file = make()
    assert f"{file}: analyzer, silences, load tests, proofs, configuration" in run("list").stdout
    file.unlink()
    assert "is no longer there: whether it was kept is not known" in run("list").stdout


def checked(stack: Path, **changes: float) -> tuple[str, str]:
    """Return the verdicts of the two lines about backups."""
    sources = make_sources(stack, now=time.time() + changes.pop("later", 0.0))
    settings = sources.place.settings
    sources.place = replace(sources.place, settings=replace(settings, configuration=stack))
    lines = (looked(backups.look_at_backup, sources), looked(backups.look_at_secrets, sources))
    return lines[0].verdict.value, lines[1].verdict.value


def test_the_lines_of_the_check(stack: Path):
    """None, made, with secrets, too old, moved away, verified where it is, damaged, and something new that it lacks."""
    assert checked(stack) == ("failed", "unknown")
    make()
    assert checked(stack) == ("passed", "unknown")
    (stack / "more").mkdir()
    done = run("create", "more", "--with-secrets")
    assert done.returncode == 0
    assert checked(stack) == ("passed", "passed")
    assert checked(stack, later=8 * 86_400.0) == ("failed", "unknown")
    file = read_records_path()
    moved = stack / "backups" / "moved.tar.gz"
    file.rename(moved)
    assert checked(stack) == ("unknown", "unknown")
    assert run("verify", str(moved)).returncode == 0
    assert checked(stack) == ("passed", "passed")
    moved.write_bytes(moved.read_bytes()[:-1])
    assert checked(stack) == ("unknown", "unknown")


def test_a_group_that_the_backup_lacks_fails(stack: Path):
    """Load tests that were first stored after it."""
    (stack / "home" / "loadgen" / "runs.db").rename(stack / "kept")
    make()
    (stack / "kept").rename(stack / "home" / "loadgen" / "runs.db")
    assert checked(stack)[0] == "failed"


def test_runs_on_a_server_are_unknown(stack: Path, monkeypatch: pytest.MonkeyPatch):
    """That server's backups are not known here, and its password is not shown."""
    make()
    monkeypatch.setenv("PERFLOOP_LOADGEN_STORE_URL", "postgresql+psycopg://u:s3cretsecret@db.test/runs")
    found = looked(backups.look_at_backup, make_sources(stack, now=time.time()))
    assert found.verdict is Verdict.UNKNOWN
    assert "s3cretsecret" not in found.words
    assert found.advice == advice.BACK_UP


def test_a_record_that_is_damaged_is_a_sentence(stack: Path):
    """It is not taken for none."""
    for content in ("{", "[]", json.dumps({"backups": [{"path": 1}]})):
        (stack / "home" / "backups.json").write_text(content)
        with pytest.raises(BackupError, match="is damaged"):
            read_records(stack / "home")
