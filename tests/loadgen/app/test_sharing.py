"""Processes that send one share each without a coordinator, and the run that they are together."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.sharing import NOT_JUDGED, merge_shares
from perfloop_loadgen.app.workplace import Workplace
from perfloop_loadgen.cli import main
from perfloop_loadgen.summary.document import State, from_json, to_json
from perfloop_loadgen.summary.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.summary.document import Document

LIMITS = {"cpu_ratio": 9, "event_loop_lag_seconds": 9}


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {
        "name": "shop",
        "base_url": url,
        "duration_seconds": 1,
        "load": {"shape": "constant_rate", "rate": 90},
        "endpoints": [{"path": "/a"}, {"path": "/b", "weight": 2}],
        "thresholds": ["rate > 60", "p95 < 5 s"],
        "generator_limits": LIMITS,
    }
    return LoadTestConfig.model_validate(base | changes)


async def _shares(url: str, of: int, **changes: Any) -> list[Document]:
    """Run every share at once, each as a process of its own would."""
    start = time.time() + 0.3
    testers = [
        LoadTester(_config(url, **changes), workplace=Workplace((index, of), start), with_server=False)
        for index in range(of)
    ]
    summaries = await asyncio.gather(*(tester.run_load_test() for tester in testers))
    return [tester.document(summary) for tester, summary in zip(testers, summaries, strict=True)]


async def test_shares_send_each_arrival_once_and_merge_into_the_whole_run(hello: Any, tmp_path: Path):
    """Three shares of 90 arrivals: 90 requests at the service, and a run of 90 that is judged as one."""
    documents = await _shares(hello.url, 3)
    assert len(hello.requests) == 90
    assert [document.summary.total_requests for document in documents] == [30, 30, 30]
    assert [document.summary.verdict for document in documents] == [Verdict.PASSED] * 3
    assert documents[1].summary.name == "shop (share 2/3)"
    assert NOT_JUDGED in documents[0].summary.notes
    paths = [tmp_path / f"{number}.json" for number in range(3)]
    for path, document in zip(paths, documents, strict=True):
        path.write_bytes(to_json(document))
    merged = await merge_shares([from_json(path) for path in paths])
    assert merged.summary.name == "shop"
    assert merged.summary.total_requests == 90
    assert [endpoint.total_requests for endpoint in merged.summary.endpoints] == [30, 60]
    assert [gate.passed for gate in merged.summary.gates] == [True, True]
    assert merged.summary.verdict is Verdict.PASSED
    assert merged.generator.workers == 3
    assert sum(point.requests for point in merged.timeline) == 90
    assert "3 shares of one load from 1 machine" in merged.summary.notes[0]


async def test_users_are_shared_too(hello: Any):
    """Five users in two shares are five connections."""
    documents = await _shares(hello.url, 2, load=None, concurrent_users=5, think_time_seconds=0.02, thresholds=[])
    assert hello.connections == 5
    assert sum(document.summary.total_requests for document in documents) == len(hello.requests)


async def test_shares_begin_at_one_moment(hello: Any):
    """Both wait for --start-at, however early they are ready."""
    one, other = await _shares(hello.url, 2)
    assert abs(_began(one) - _began(other)) < 0.1


def _began(document: Document) -> float:
    from datetime import datetime

    return datetime.fromisoformat(document.started_at).timestamp()


async def test_a_share_that_is_ready_too_late_is_invalid(hello: Any):
    """It would have begun after the others: the schedule was not kept."""
    tester = LoadTester(_config(hello.url), workplace=Workplace((0, 2), time.time() - 2), with_server=False)
    summary = await tester.run_load_test()
    assert summary.verdict is Verdict.INVALID
    assert "after the moment at which it was to begin" in summary.reasons[0]


async def test_a_share_is_stopped_while_it_waits_for_the_moment(hello: Any):
    """Nothing is sent, and nobody waits for an hour."""
    tester = LoadTester(_config(hello.url), workplace=Workplace((0, 2), time.time() + 3600), with_server=False)
    task = asyncio.create_task(tester.run_load_test())
    await asyncio.sleep(0.3)
    tester.stop("stopped by SIGTERM", 0.0)
    summary = await asyncio.wait_for(task, 10)
    assert summary.end_reason == "stopped by SIGTERM"
    assert hello.requests == []


async def test_workers_divide_a_share(hello: Any):
    """A share may have several processes on its machine: together they send the share, not the load."""
    config = _config(hello.url, workers=2)
    tester = LoadTester(config, workplace=Workplace((1, 3)), with_server=False)
    summary = await tester.run_load_test()
    assert summary.total_requests == 30 == len(hello.requests)


async def test_a_missing_share_makes_the_run_invalid(hello: Any):
    """What it sent is unknown: the rest is reported, and says nothing about the service."""
    documents = await _shares(hello.url, 3)
    merged = await merge_shares([documents[0], documents[2]])
    assert merged.summary.verdict is Verdict.INVALID
    assert merged.summary.reasons[0] == "share 2 of 3 is missing: what they sent is in no number"
    assert merged.summary.total_requests == 60


async def test_a_share_at_its_own_limit_is_named(hello: Any):
    """The merged verdict says which generator was the limit."""
    documents = await _shares(hello.url, 2)
    reason = "the generator used 97% of its core (limit 90%)"
    bad = replace(documents[1], summary=replace(documents[1].summary, verdict=Verdict.INVALID, reasons=[reason]))
    merged = await merge_shares([documents[0], bad])
    assert merged.summary.verdict is Verdict.INVALID
    assert merged.summary.reasons == [f"share 2/2 ({bad.host.name}): {reason}"]


async def test_what_does_not_belong_together_is_refused_with_every_reason(hello: Any):
    """A share twice, another start, another test, another version, a whole run: one sentence each."""
    one, other = await _shares(hello.url, 2)
    assert one.share is not None
    assert other.share is not None
    strange = replace(
        other,
        share=replace(other.share, test="cart", number=1, start_at="2026-01-01T00:00:00.000+00:00"),
        config_hash="1234",
        generator_version="9",
    )
    whole = replace(one, share=None, run_id="abc")
    with pytest.raises(ConfigError) as caught:
        await merge_shares([one, strange, whole])
    sentences = "\n".join(caught.value.problems)
    assert "the run abc is no share of a load" in sentences
    assert "the shares differ in their test: shop, cart" in sentences
    assert "the shares differ in their moment of --start-at" in sentences
    assert "the shares differ in their configuration" in sentences
    assert "the shares differ in their version of the load generator" in sentences
    assert "the share 1/2 is given 2 times: its requests would count twice" in sentences


async def test_shares_that_began_apart_are_no_load(hello: Any):
    """Without one moment to begin at they were two loads after each other."""
    one, other = await _shares(hello.url, 2)
    merged = await merge_shares([one, replace(other, started_at="2020-01-01T00:00:00.000+00:00")])
    assert merged.summary.verdict is Verdict.INVALID
    assert "apart: give each of them the same --start-at" in merged.summary.reasons[0]


async def test_a_stopped_share_stops_the_merged_run(hello: Any):
    """Its state is that of the run."""
    one, other = await _shares(hello.url, 2)
    merged = await merge_shares([one, replace(other, state=State.STOPPED)])
    assert merged.state is State.STOPPED
    assert merged.summary.verdict is Verdict.INVALID


FILE = """
load_tests:
  shop: {{base_url: "{url}", duration_seconds: 1, load: {{shape: constant_rate, rate: 40}}, endpoints: [{{path: /}}],
         thresholds: [requests > 30], generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}}}
  other: {{base_url: "{url}", duration_seconds: 1}}
"""


def test_a_job_runs_its_shares_into_the_store_and_merges_them(
    raw_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """What an indexed Job does: every process by its index, one label for all, and `merge` by that label."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / "home"))
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        test = tmp_path / "test.yml"
        test.write_text(FILE.format(url=server.url))
        for index in range(2):
            monkeypatch.setenv("JOB_COMPLETION_INDEX", f"{index}")
            code = main(
                ["run", str(test), "--test", "shop", "--share", "job/2", "--label", "job=night", "--store.url", url]
            )
            assert code == ExitCode.OK
    capsys.readouterr()
    report = tmp_path / "whole.json"
    merging = ["merge", "--label", "job=night", "--store.url", url, "--report.json", str(report)]
    # They ran one after the other here, which is no load.
    assert main(merging) == ExitCode.INVALID
    assert "40 requests" in capsys.readouterr().out
    whole = json.loads(report.read_bytes())
    assert whole["summary"]["total"]["total_requests"] == 40
    assert [gate["passed"] for gate in whole["summary"]["gates"]] == [True]
    # The merged run is stored, and is none of its own shares.
    assert main(merging) == ExitCode.INVALID


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--share", "3/2"], "--share: '3/2': the shares are numbered from 1 to 2"),
        (["--share", "1/2"], "--share goes with one test, and there are 2 (shop, other): choose one with --test"),
        (["--share", "1/2", "--test", "shop", "--repeat", "3"], "--share goes with one run: leave --repeat"),
        (["--test", "shop", "--start-at", "2020-01-01T00:00:00Z"], "--start-at: that moment passed "),
        (["--test", "shop", "--start-at", "2126-01-01T00:00:00Z"], "days away: at most one day is waited"),
        (["--test", "shop", "--start-at", "tomorrow"], "--start-at: 'tomorrow' is not a moment: write 2026-11-30T10"),
        (["--test", "shop", "--start-at", "2026-11-30T10:00:00"], "has no time zone, and machines may be in different"),
        (["--dask.tls-ca-file", "ca.pem"], "--dask.tls-ca-file goes with --dask tls://HOST:PORT"),
        (["--dask", "tls://h:1"], "--dask tls://h:1 needs --dask.tls-ca-file"),
        (
            ["--dask", "http://h:1"],
            "--dask: 'http://h:1' is not the address of a Dask scheduler: write tcp://HOST:PORT",
        ),
        (["--dask", "tcp://h"], "is not the address of a Dask scheduler"),
        (["--workers", "0"], "--workers: '0' is not a whole number above 0"),
        (["--on-lost-worker", "ignore"], "--on-lost-worker: 'ignore' is not one of invalid, take-over"),
    ],
)
def test_flags_that_make_no_sense_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
):
    """Nothing is run."""
    test = tmp_path / "test.yml"
    test.write_text(FILE.format(url="http://127.0.0.1:1"))
    assert main(["run", str(test), *arguments, "--store.url=none"]) == ExitCode.USAGE
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name the shares: their JSON reports, stored runs, or --label NAME=VALUE that all of them have"),
        (["latest", "--label", "a=b"], "give either the shares themselves or --label and --test"),
        (["--label", "a=b"], "no run is stored"),
        (["gone.json"], "gone.json: cannot be read: No such file or directory"),
    ],
)
def test_merge_says_what_it_needs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
):
    """One sentence, and the code of wrong usage."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path))
    assert main(["merge", *arguments]) == ExitCode.USAGE
    assert sentence in capsys.readouterr().err
