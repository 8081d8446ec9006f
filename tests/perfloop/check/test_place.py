"""Which stack is checked: that of the directory, never another's that answers at the same ports."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.backup import app
from perfloop.backup.archive import unpack
from perfloop.backup.records import read_records
from perfloop.check.config import CheckConfig
from perfloop.check.findings import UnansweredError
from perfloop.check.place import DOCKER, NAMED, NATIVE, NONE, find_place
from perfloop.stack import records
from perfloop.stack.settings import read_settings
from perfloop_base.home import port_variable
from tests.perfloop.backup.test_archive import make_database
from tests.support.engine import make_engine
from tests.support.readiness import CHECKOUT, answering

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop.check.place import Place


def place(directory: Path, **flags: Any) -> Place:
    """Return the stack of a home in the directory."""
    settings = read_settings(CHECKOUT, {"PERFLOOP_HOME": str(directory / "home")}, directory)
    return find_place(settings, CheckConfig(**flags))


def record(directory: Path, **urls: str) -> None:
    """Record that a native stack was started at these addresses."""
    components = tuple(records.Watched(name, url, url) for name, url in urls.items())
    records.save_running(directory / "home", records.Running("native", demo=False, components=components))


def flags_of(data: Path) -> dict[str, Any]:
    """Return what a Prometheus says whose data is there."""
    return {"/api/v1/status/flags": {"status": "success", "data": {"storage.tsdb.path": str(data)}}}


def test_nothing_runs(tmp_path: Path):
    """Whatever listens on the usual ports is not asked."""
    found = place(tmp_path)
    assert (found.mode, found.has_stack) == (NONE, False)
    with pytest.raises(UnansweredError, match=r"no stack runs in .*/home"):
        found.url("prometheus")


def test_a_native_stack_is_asked_where_it_was_started(tmp_path: Path):
    """Whatever ports the environment names now; flags win."""
    with answering(flags_of(tmp_path / "home" / "prometheus")) as ours:
        record(tmp_path, prometheus=ours.url, analyzer="http://127.0.0.1:7")
        found = place(tmp_path, analyzer_url="http://elsewhere.test")
        assert (found.mode, found.problem) == (NATIVE, "")
        assert found.url("prometheus") == ours.url == found.settings.url("prometheus")
        assert found.url("analyzer") == "http://elsewhere.test"
        with pytest.raises(UnansweredError, match="grafana is no part of this stack"):
            found.url("grafana")


def test_another_stack_at_the_same_ports_is_not_this_one(tmp_path: Path):
    """The data of the Prometheus that answers says whose it is; what a flag names is asked all the same."""
    with answering(flags_of(tmp_path / "other" / "prometheus")) as strange:
        record(tmp_path, prometheus=strange.url, alertmanager="http://127.0.0.1:7")
        found = place(tmp_path)
        for program in ("prometheus", "alertmanager"):
            with pytest.raises(UnansweredError, match="is the Prometheus of another stack: its data is in"):
                found.url(program)
        assert place(tmp_path, prometheus_url=strange.url).url("prometheus") == strange.url


def test_addresses_alone(tmp_path: Path):
    """What no flag names is said by its flag."""
    found = place(tmp_path, prometheus_url="http://prometheus.test/")
    assert (found.mode, found.url("prometheus")) == (NAMED, "http://prometheus.test")
    with pytest.raises(UnansweredError, match=r"--inbox\.url is missing"):
        found.url("inbox")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack in containers, by a stand-in for Docker; the analyzer's database is in its volume."""
    (tmp_path / "data").mkdir()
    make_database(tmp_path / "data" / "analyzer.sqlite")
    services = ("prometheus", "alertmanager", "analyzer", "inbox", "exporter")
    directory = make_engine(tmp_path, services, tmp_path / "data")
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PERFLOOP_LOADGEN_STORE_URL")
    return tmp_path


def test_a_stack_in_containers(engine: Path):
    """Its programs are at their published ports."""
    found = place(engine)
    assert (found.mode, found.has_stack) == (DOCKER, True)
    assert found.url("prometheus") == "http://127.0.0.1:9090"
    assert found.docker is not None
    with pytest.raises(UnansweredError):
        found.url("grafana")


def test_two_stacks_of_one_directory_are_none(engine: Path):
    """Which one is meant is not known."""
    record(engine, prometheus="http://127.0.0.1:7")
    found = place(engine)
    assert found.mode == NONE
    with pytest.raises(UnansweredError, match="a native stack and one in containers run in"):
        found.url("prometheus")


def test_a_backup_of_containers(engine: Path, monkeypatch: pytest.MonkeyPatch):
    """The database comes out of its volume as it is at one moment, silences by Alertmanager's API."""
    silences = [{"id": "1", "status": {"state": "active"}}]
    monkeypatch.chdir(engine)
    (engine / "prometheus").mkdir()
    (engine / "prometheus" / "prometheus.yml").write_text("scrape_configs: []\n")
    (engine / "backups").mkdir()
    with answering({"/api/v2/silences": silences}) as alertmanager:
        monkeypatch.setenv(port_variable("alertmanager"), alertmanager.url.rpartition(":")[2])
        app.create(engine / "backups", with_secrets=False)
    (kept,) = read_records(engine / "home")
    assert kept.contents == ("analyzer", "silences", "configuration")
    (file,) = (engine / "backups").iterdir()
    unpack(file, engine / "out")
    assert (engine / "out" / "analyzer" / "analyzer.sqlite").stat().st_size > 0
    assert json.loads((engine / "out" / "alertmanager" / "silences.json").read_text()) == silences
