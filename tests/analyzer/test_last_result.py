"""Since when there is no result: what the commands and the API say of recommendations that nobody looked after."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop_analyzer.cli import main
from perfloop_analyzer.incidents import Memory
from perfloop_analyzer.ports import Health, Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.store import Database
from perfloop_base.errors import ExitCode
from tests.analyzer.test_store import make
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from pathlib import Path

NOW = time.time()


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database of a stack whose analyzer does not run."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("PERFLOOP_ANALYZER_PORT", str(find_free_ports(1)[0]))
    (tmp_path / "analyzer").mkdir()
    database = Database(f"sqlite:///{tmp_path}/analyzer/analyzer.sqlite")
    database.merge([make("first", "One"), make("second", "Two")], NOW - 7200)
    return database


@pytest.mark.parametrize(
    ("ago", "words"), [(7200, "no result since 20"), (None, "no result yet"), (0, "")], ids=["old", "none", "new"]
)
def test_the_command_says_since_when_there_is_no_result(
    stopped: Database, capfd: Any, ago: float | None, words: str
) -> None:
    """Before the list; beside JSON on the errors, so that the JSON stays whole. A result of now needs no words."""
    stopped.write_memory(Memory(None if ago is None else time.time() - ago))
    stopped.close()
    assert main(["recommendations"]) == ExitCode.OK
    first = capfd.readouterr().out.strip().partition("\n")[0]
    assert words in first if words else first.startswith("high: ")
    assert main(["recommendations", "--json"]) == ExitCode.OK
    printed = capfd.readouterr()
    assert [one["id"] for one in json.loads(printed.out)] == ["first", "second"]
    assert words in printed.err


def _client(published: Published, database: Database) -> httpx.AsyncClient:
    web = build_web(published, database, WebSettings(), lambda: NOW)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=web), base_url="http://analyzer")


async def test_every_answer_of_the_api_carries_the_age_of_the_result(stopped: Database) -> None:
    """In the body where it is an object, in the headers where it is a list."""
    published = Published(Result(NOW - 600, (Health("shop", 100.0, {}),)))
    published.made = time.monotonic() - 600
    async with _client(published, stopped) as client:
        for path in ("health", "findings", "incidents"):
            body = (await client.get(f"/api/v1/{path}")).json()
            assert body["stale"] is True, path
            assert body["age_seconds"] == pytest.approx(600, abs=30)
            assert body["at"] == NOW - 600
        for path in ("recommendations", "recommendations?standing=true", "recommendations/first"):
            answer = await client.get(f"/api/v1/{path}")
            assert answer.headers["Perfloop-Result-Stale"] == "true", path
            assert float(answer.headers["Perfloop-Result-Age"]) == pytest.approx(600, abs=30)
            assert float(answer.headers["Perfloop-Result-Timestamp"]) == pytest.approx(NOW - 600, abs=0.01)
    async with _client(Published(), stopped) as client:
        assert (await client.get("/api/v1/recommendations")).headers["Perfloop-Result-Stale"] == "true"
        assert (await client.get("/api/v1/health")).status_code == 503
    stopped.close()


def test_a_report_that_cannot_be_made_says_since_when(stopped: Database, tmp_path: Path, capfd: Any) -> None:
    """Prometheus does not answer: the last result that the database knows is named, and the exit code says why."""
    stopped.write_memory(Memory(NOW - 7200))
    stopped.close()
    store = f"--store.url=sqlite:///{tmp_path}/analyzer/analyzer.sqlite"
    nobody = f"--prometheus.url=http://127.0.0.1:{find_free_ports(1)[0]}"
    code = main(["report", f"--html={tmp_path / 'r.html'}", store, nobody, "--query.timeout=1s"])
    assert code == ExitCode.SOURCE_UNAVAILABLE
    assert "no result since 20" in capfd.readouterr().err
