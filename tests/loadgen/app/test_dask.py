"""Load from Dask workers: one of this process's own, and workers that run as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from perfloop_base.clusters import differences
from perfloop_base.errors import ConfigError, ExitCode
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.errors import TargetError
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.summary.verdict import Verdict
from tests.loadgen.app.dask_cluster import dask_cluster
from tests.support.waiting import wait_for

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'perfloop[dask]'")

from perfloop_loadgen.app.dask_crew import Cluster, DaskCrew, _choose, measure_clock
from perfloop_loadgen.app.dask_host import LEASE_SECONDS, Place, Sealed
from perfloop_loadgen.app.worker import Job
from perfloop_loadgen.app.workplace import Workplace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.loadgen.app.dask_cluster import DaskCluster

LIMITS = {"cpu_ratio": 9, "event_loop_lag_seconds": 9, "achieved_ratio": 0.5}
SECRET = "rosebud-rosebud-rosebud"
LOCAL = Workplace(crew=lambda: DaskCrew(Cluster("local", {})))
TEST = """
load_tests:
  {name}: {{base_url: "{url}", duration_seconds: {seconds}, load: {{shape: constant_rate, rate: 60}}, {more}
         endpoints: [{{path: /, headers: {{X-Key: "${{env:SHOP_KEY}}"}}}}], thresholds: [errors < 1 %],
         generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9, achieved_ratio: 0.5}}}}
"""


@pytest.fixture(scope="module", name="cluster")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), 2) as cluster:
        yield cluster


def _config(url: str, **changes: Any) -> LoadTestConfig:
    base = {
        "base_url": url,
        "duration_seconds": 1.5,
        "workers": 2,
        "load": {"shape": "constant_rate", "rate": 100},
        "endpoints": [{"path": "/a"}, {"path": "/b"}],
        "generator_limits": LIMITS,
    }
    return LoadTestConfig.model_validate(base | changes)


def _own_senders() -> list[psutil.Process]:
    """The processes that send load for Dask workers of this process."""
    return [one for one in psutil.Process().children() if "work_as_program" in " ".join(one.cmdline())]


def _at(cluster: DaskCluster) -> Workplace:
    return Workplace(crew=lambda: DaskCrew(Cluster(cluster.address, {})))


async def _start(directory: Path, *arguments: object) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "perfloop_loadgen", "run", "test.yml", *map(str, arguments)]
    return await asyncio.create_subprocess_exec(
        *command,
        "--store.url=none",
        "--web.listen-address=127.0.0.1:0",
        stdout=-1,
        stderr=-1,
        cwd=directory,
        env={**os.environ, "SHOP_KEY": SECRET},
    )


def _write(directory: Path, url: str, seconds: float, name: str = "shop", more: str = "") -> None:
    (directory / "test.yml").write_text(TEST.format(name=name, url=url, seconds=seconds, more=more))


async def test_workers_of_this_process_send_one_schedule(hello: Any):
    """With no address: every arrival once, and the book of one process."""
    tester = LoadTester(_config(hello.url), workplace=LOCAL)
    summary = await tester.run_load_test()
    assert summary.total_requests == 150 == len(hello.requests)
    assert [endpoint.total_requests for endpoint in summary.endpoints] == [75, 75]
    assert summary.verdict is Verdict.PASSED
    figures = tester.run.workers()
    assert [worker.requests for worker in figures] == [75, 75]
    assert all(worker.title.startswith(f"worker {worker.number} of 2 (inproc://") for worker in figures)
    assert all(worker.clock_offset_seconds is None for worker in figures)
    assert _own_senders() == []


async def test_separate_workers_send_one_schedule(cluster: DaskCluster, hello: Any, tmp_path: Path):
    """Two Dask workers as people start them; the secret reaches the service, and nothing that Dask writes down."""
    _write(tmp_path, hello.url, 2)
    process = await _start(tmp_path, "--dask", cluster.address, "--report.json", "report.json")
    output, errors = (part.decode() for part in await process.communicate())
    assert process.returncode == ExitCode.OK, errors
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["summary"]["total"]["total_requests"] == 120 == len(hello.requests)
    assert [worker["requests"] for worker in report["workers"]] == [60, 60]
    assert report["generator"]["workers"] == 2
    assert all(worker["name"].startswith("tcp://127.0.0.1:") for worker in report["workers"])
    assert f"worker 1 {report['workers'][0]['name']}: machine " in output
    assert all(SECRET.encode() in request for request in hello.requests)
    assert SECRET not in cluster.logs() + output + errors + json.dumps(report)
    assert cluster.senders() == []


async def test_percentiles_are_those_of_one_process(serve: Any):
    """The same load against the same service, once from one process and once from two workers."""
    async with serve(_slowly) as service:
        changes = {"load": {"shape": "constant_rate", "rate": 40}, "duration_seconds": 3, "workers": 1}
        alone = await LoadTester(_config(service.url, **changes)).run_load_test()
        together = await LoadTester(_config(service.url, **(changes | {"workers": 2})), workplace=LOCAL).run_load_test()
    assert alone.total_requests == together.total_requests == 120
    for name in ("p50", "p95"):
        one, other = (run.total.service.quantiles_seconds[name] for run in (alone, together))
        assert one == pytest.approx(other, rel=0.25)


async def _slowly(request: bytes, writer: asyncio.StreamWriter) -> None:
    # By the path, so that the distribution is the same whoever asks.
    await asyncio.sleep(0.2 if b"/b" in request else 0.1)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.slow
async def test_a_lost_worker_makes_the_run_invalid_or_is_taken_over(tmp_path: Path, hello: Any):
    """A Dask worker is killed half way: the verdict names it, or the other one sends its share too."""
    with dask_cluster(tmp_path, 3) as cluster:
        for choice, victim, seconds in (("invalid", 2, 3), ("take-over", 1, 8)):
            hello.requests.clear()
            config = _config(hello.url, duration_seconds=seconds, on_lost_worker=choice, workers=victim + 1)
            tester = LoadTester(config, workplace=_at(cluster))

            def kill(_: float, tester: LoadTester = tester, victim: int = victim) -> None:
                tester.run.listeners.clear()
                cluster.workers[victim].kill()

            tester.run.listeners.append(kill)
            summary = await tester.run_load_test()
            [lost] = [worker for worker in tester.run.workers() if worker.lost]
            if choice == "invalid":
                assert summary.verdict is Verdict.INVALID
                assert summary.reasons[0].startswith(f"{lost.title} ")
            else:
                assert tester.run.faults == []
                assert summary.total_requests + tester.run.unknown == 800
                assert any(note.startswith(f"{lost.title} ") for note in summary.notes)
            # What the killed worker still sent and never reported is at most what is said to be unknown.
            unreported = len(hello.requests) - summary.total_requests
            assert 0 <= unreported <= (tester.run.unknown if choice == "take-over" else 300 // 3)


async def test_sigterm_stops_every_worker_and_writes_what_was_measured(
    cluster: DaskCluster, hello: Any, tmp_path: Path
):
    """Within a second or so, with everything that was sent counted."""
    _write(tmp_path, hello.url, 60)
    process = await _start(tmp_path, "--dask", cluster.address, "--report.json", "report.json")
    await asyncio.to_thread(wait_for, lambda: len(hello.requests) > 30, "the first requests")
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(1.5)
    sent = len(hello.requests)
    _, errors = await process.communicate()
    assert process.returncode == ExitCode.STOPPED, errors.decode()
    assert len(hello.requests) == sent
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert report["summary"]["total"]["total_requests"] == sent
    assert report["summary"]["end_reason"] == "stopped by SIGTERM"
    assert cluster.senders() == []


@pytest.mark.slow
async def test_a_coordinator_that_is_killed_leaves_no_load(cluster: DaskCluster, hello: Any, tmp_path: Path):
    """The workers hear nothing, and stop when their lease is over."""
    _write(tmp_path, hello.url, 120)
    process = await _start(tmp_path, "--dask", cluster.address)
    await asyncio.to_thread(wait_for, lambda: len(hello.requests) > 30, "the first requests")
    process.kill()
    await process.communicate()
    await asyncio.sleep(LEASE_SECONDS + 2)
    sent = len(hello.requests)
    await asyncio.sleep(1)
    assert len(hello.requests) == sent
    await asyncio.to_thread(wait_for, lambda: cluster.senders() == [], "the end of the senders")


async def test_two_tests_of_one_name_are_refused(cluster: DaskCluster, hello: Any, tmp_path: Path):
    """The second one is one sentence, and the first goes on."""
    _write(tmp_path, hello.url, 120)
    first = await _start(tmp_path, "--dask", cluster.address)
    try:
        await asyncio.to_thread(wait_for, lambda: len(hello.requests) > 5, "the first requests")
        second = await _start(tmp_path, "--dask", cluster.address)
        _, errors = await second.communicate()
        assert second.returncode == ExitCode.USAGE
        assert "a test of the name 'shop' is running there already" in errors.decode()
        other = tmp_path / "other"
        other.mkdir()
        _write(other, hello.url, 120, name="cart")
        third = await _start(other, "--dask", cluster.address)
        _, errors = await third.communicate()
        assert third.returncode == ExitCode.USAGE
        assert "all 2 workers send the load of another test" in errors.decode()
        sent = len(hello.requests)
        await asyncio.sleep(0.5)
        assert len(hello.requests) > sent
    finally:
        first.send_signal(signal.SIGTERM)
        await first.communicate()
    assert first.returncode == ExitCode.STOPPED


async def test_files_and_code_travel(cluster: DaskCluster, hello: Any, tmp_path: Path):
    """Workers run elsewhere: data, an upload and the scenario's code are sent to them, and removed afterwards."""
    (tmp_path / "rows.csv").write_text("name\nann\nbob\ncid\n")
    (tmp_path / "shop.py").write_text("async def buy(user):\n    await user.get(f'/buy/{user.values[\"name\"]}')\n")
    (tmp_path / "cat.png").write_bytes(b"a picture of a cat")
    test = f"""
load_tests:
  shop:
    base_url: "{hello.url}"
    duration_seconds: 1
    load: {{shape: constant_rate, rate: 20}}
    data_file: rows.csv
    endpoints: [{{path: /up, multipart: {{image: {{file: cat.png}}}}}}]
    scenarios: [{{python: "shop.py:buy"}}]
    generator_limits: {{cpu_ratio: 9, event_loop_lag_seconds: 9}}
"""
    (tmp_path / "test.yml").write_text(test)
    process = await _start(tmp_path, "--dask", cluster.address)
    output, errors = await process.communicate()
    assert process.returncode == ExitCode.OK, output.decode() + errors.decode()
    assert sum(b"a picture of a cat" in request for request in hello.requests) == 10
    assert {request.split()[1] for request in hello.requests} == {b"/up", b"/buy/ann", b"/buy/bob", b"/buy/cid"}
    assert [path for path in cluster.directory.rglob("*") if path.name in {"rows.csv", "shop.py", "cat.png"}] == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workers": 5}, "the test asks for 5 workers, and the cluster has 2"),
        ({"base_url": "http://127.0.0.1:1"}, "the service at http://127.0.0.1:1 is not reached: nothing listens on"),
        ({"base_url": "http://no-such-host.invalid"}, "the host 'no-such-host.invalid' does not resolve"),
    ],
    ids=["too few workers", "service is down", "service has no address"],
)
async def test_what_the_cluster_cannot_do_is_one_sentence(
    cluster: DaskCluster, hello: Any, changes: dict[str, Any], sentence: str
):
    """Nothing is sent, and nothing is left on the workers."""
    tester = LoadTester(_config(hello.url, **changes), workplace=_at(cluster))
    with pytest.raises((ConfigError, TargetError)) as caught:
        await tester.run_load_test()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hello.requests == []
    assert cluster.senders() == []


async def test_a_scheduler_that_is_not_there_is_one_sentence(hello: Any, monkeypatch: pytest.MonkeyPatch):
    """A port at which nothing listens, and one at which something else does."""
    monkeypatch.setattr("perfloop_loadgen.app.dask_crew._CONNECT_SECONDS", 1.0)
    host, port = hello.url.removeprefix("http://").split(":")
    for address in (f"tcp://127.0.0.1:{_free_port()}", f"tcp://{host}:{port}"):
        tester = LoadTester(_config(hello.url), workplace=Workplace(crew=lambda at=address: DaskCrew(Cluster(at, {}))))
        with pytest.raises(TargetError) as caught:
            await tester.run_load_test()
        assert str(caught.value).startswith(f"--dask {address}: no scheduler answers there")
        assert "\n" not in str(caught.value)


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port


async def test_a_cluster_without_workers_is_one_sentence(tmp_path: Path, hello: Any):
    """It says how to start one."""
    with dask_cluster(tmp_path, 0) as cluster, pytest.raises(ConfigError) as caught:
        await LoadTester(_config(hello.url), workplace=_at(cluster)).run_load_test()
    expected = f"the cluster has no workers: `dask worker {cluster.address}` starts one"
    assert str(caught.value) == f"--dask {cluster.address}: {expected}"


async def test_a_run_is_stopped_while_its_workers_are_hired(hello: Any):
    """Whenever the stop comes, nothing is sent and nothing is left."""
    tester = LoadTester(_config(hello.url, duration_seconds=60), workplace=LOCAL)
    task = asyncio.create_task(tester.run_load_test())
    await asyncio.sleep(0.3)
    tester.stop("stopped by SIGINT", 0.0)
    summary = await asyncio.wait_for(task, 20)
    assert summary.end_reason == "stopped by SIGINT"
    assert _own_senders() == []


async def test_another_clock_is_measured_to_half_of_the_round_trip():
    """A clock that is 300 s ahead, asked over a line of up to some milliseconds."""
    ahead = 300 * SECOND
    delays = iter([0.004, 0.001, 0.003, 0.001, 0.002, 0.002, 0.001, 0.004, 0.002])

    async def ask() -> int:
        delay = next(delays)
        await asyncio.sleep(delay)
        theirs = time.monotonic_ns() + ahead
        await asyncio.sleep(3 * delay)  # the way back is longer: the worst case of the method
        return theirs

    measured, error = await measure_clock(ask)
    assert abs(measured - ahead) <= error
    assert error < 0.1 * SECOND


def _make_certificate(directory: Path, name: str) -> tuple[str, str]:
    """Make a certificate that is its own authority, and return its file and that of its key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return str(certificate), str(key)


async def test_a_cluster_at_tls(tmp_path: Path, hello: Any):
    """With the certificate the load is sent; with another authority's nobody is spoken to."""
    file, key = _make_certificate(tmp_path, "dask")
    strange, _ = _make_certificate(tmp_path, "strange")
    with dask_cluster(
        tmp_path / "dask", 1, "--protocol=tls", f"--tls-ca-file={file}", f"--tls-cert={file}", f"--tls-key={key}"
    ) as cluster:
        assert cluster.address.startswith("tls://")
        _write(tmp_path, hello.url, 1)
        flags = ("--dask", cluster.address, "--dask.tls-cert-file", file, "--dask.tls-key-file", key)
        process = await _start(tmp_path, *flags, "--dask.tls-ca-file", file)
        output, errors = await process.communicate()
        assert process.returncode == ExitCode.OK, output.decode() + errors.decode()
        assert len(hello.requests) == 60
        process = await _start(tmp_path, *flags, "--dask.tls-ca-file", strange)
        _, errors = await process.communicate()
        assert process.returncode == ExitCode.USAGE
        assert f"--dask {cluster.address}: " in errors.decode()
        assert "Traceback" not in errors.decode()


OURS = {"perfloop": "1.0", "python": "3.11.7.final.0", "distributed": "2026.7.0"}


@pytest.mark.parametrize(
    ("theirs", "sentences"),
    [
        ({"python": "3.11.2.final.0"}, []),
        (
            {"perfloop": "0.9"},
            ["the worker w has Perfloop 0.9, and this machine 1.0: all of them need the same one"],
        ),
        (
            {"python": "3.12.1.final.0"},
            ["the worker w has Python 3.12, and this machine 3.11: all of them need the same one"],
        ),
        (
            {"distributed": "2025.1.0"},
            ["the worker w has Dask's distributed 2025.1.0, and this machine 2026.7.0: all of them need the same one"],
        ),
    ],
    ids=["another bugfix of Python", "Perfloop", "Python", "Dask"],
)
def test_a_worker_of_another_version_is_refused(theirs: dict[str, str], sentences: list[str]):
    """By name, before anything runs there."""
    assert differences("the worker w", OURS, OURS | theirs, "loadgen") == sentences


def test_a_worker_without_perfloop_is_refused():
    """With the command that installs it."""
    [sentence] = differences("the worker w", OURS, OURS | {"perfloop": None}, "loadgen")
    assert sentence.startswith("the worker w has no Perfloop: pip install 'perfloop[loadgen,dask]==")


def test_free_workers_are_chosen():
    """In the order of their addresses; one with another test's load is left alone."""
    places = [Place("m", "b", ""), Place("m", "b", "cart"), Place("m", "b", "")]
    assert _choose(["x", "y", "z"], places, "shop", 2, "tcp://h:1") == [0, 2]
    with pytest.raises(
        ConfigError, match="asks for 3 workers, and the cluster has 3, 1 of them with the load of another"
    ):
        _choose(["x", "y", "z"], places, "shop", 3, "tcp://h:1")


def test_no_form_of_what_is_sent_to_a_worker_shows_it():
    """Dask writes the arguments of a call that failed into its log."""
    job = Job({"endpoints": [{"headers": {"X-Key": SECRET}}]}, (0, 2), {"SHOP_KEY": SECRET})
    sealed = Sealed(job, {"key.pem": SECRET.encode()})
    assert SECRET not in f"{job!r} {job} {sealed!r} {sealed} {[sealed]}"
    assert sealed.open() == (job, {"key.pem": SECRET.encode()})
