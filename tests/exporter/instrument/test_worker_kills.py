"""Workers that are killed at any step of the reaping, damaged files, and directories that cannot be written."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_exporter.instrument import shards, worker_files
from perfloop_exporter.instrument.worker_files import WorkerFiles
from perfloop_exporter.instrument.workers import WorkerGroup
from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

# Every call by which the reaping changes or opens a file.
STEPS = ("unlink", "replace", "rename", "open", "close", "stat")


def add_dead_worker(directory: Path, identity: str, jobs: int) -> None:
    """Leave the files of a worker that has ended."""
    registry = MetricRegistry()
    registry.counter("jobs_total", "Jobs.").labels().inc(jobs)
    registry.histogram("work_seconds", "Work.", ("kind",)).labels("a").observe(jobs)
    registry.gauge("depth", "Depth.").labels().set(7)
    (directory / f"{identity}.alive").touch()
    shards.write_whole(directory / f"{identity}.json", shards.dump(registry.families()))


def total(registry: MetricRegistry) -> float:
    """Return how many jobs the page has, after checking that the histogram has the same sum."""
    text = render(registry.families()).decode()
    rows = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert "depth" not in rows
    jobs = float(rows.get("jobs_total", 0))
    assert float(rows.get('work_seconds_sum{kind="a"}', 0)) == jobs
    return jobs


def seen(directory: Path) -> float:
    """Return what a scrape shows in this state of the files, without changing it."""
    return total(WorkerFiles(directory, "0-reader", lambda _pid: None)._read([]).registry)


def reap(directory: Path) -> float:
    """Reap, and return what the scrape shows."""
    return total(WorkerFiles(directory, "0-reaper", lambda _pid: None).read([]).registry)


def reap_and_be_killed(directory: Path, at: int, *, after: bool) -> bool:
    """Reap in another process that is killed at its call number `at`; return whether it was."""
    child = os.fork()
    if not child:
        left = at

        def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = call(*arguments, **options)
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            return called

        for name in STEPS:
            setattr(os, name, deadly(getattr(os, name)))
        io.open = deadly(io.open)  # pathlib's
        try:
            reap(directory)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_step_neither_loses_nor_doubles(tmp_path: Path, after: bool):  # noqa: FBT001
    """The archive has each worker once, whichever call was the last of the process that reaped it."""
    at = 0
    killed = True
    while killed:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        add_dead_worker(directory, "11-a", 1)
        assert reap(directory) == 1
        add_dead_worker(directory, "12-b", 10)
        add_dead_worker(directory, "13-c", 100)
        killed = reap_and_be_killed(directory, at, after=after)
        assert seen(directory) == 111
        assert reap(directory) == 111
        assert reap(directory) == 111
        assert {path.name for path in directory.iterdir()} == {"archive.json", "lock"}
    assert at > 10


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(st.tuples(st.just("dies"), st.integers(1, 9)), st.tuples(st.just("killed"), st.integers(1, 40))),
        max_size=15,
    ),
    st.booleans(),
)
def test_any_sequence_of_deaths_and_kills(events: list[tuple[str, int]], after: bool):  # noqa: FBT001
    """The total is always that of the workers there were."""
    directory = Path(tempfile.mkdtemp())
    try:
        expected = 0
        for number, (what, value) in enumerate(events):
            if what == "dies":
                add_dead_worker(directory, f"{number + 1}-x", value)
                expected += value
            else:
                reap_and_be_killed(directory, value, after=after)
            assert seen(directory) == expected
        assert reap(directory) == expected
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("name", ["archive.json", "11-a.json"])
@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"sources": 5}', b'[[{"name": "\\ud800"}, []]]', b"cut"],
    ids=lambda value: repr(value[:8]),
)
def test_a_damaged_file_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: bytes):
    """The others are counted, the log and a metric say so, and the next scrape finds nothing damaged."""
    add_dead_worker(tmp_path, "11-a", 1)
    add_dead_worker(tmp_path, "12-b", 10)
    if name == "archive.json":
        shards.write_whole(tmp_path / name, shards.dump_archive([], []))
    content = (tmp_path / name).read_bytes()[:-3] if damage == b"cut" else damage
    (tmp_path / name).write_bytes(content)
    expected = 11 if name == "archive.json" else 10
    for _ in range(3):
        assert reap(tmp_path) == expected
    assert caplog.text.count("moved to") == 1
    aside = [path for path in tmp_path.iterdir() if ".corrupt-" in path.name]
    assert [path.read_bytes() for path in aside] == [content]
    assert WorkerFiles(tmp_path, "1-x", lambda _pid: None).set_aside_seconds() > 1.7e9


def test_damaged_files_do_not_fill_the_disk(tmp_path: Path):
    """The oldest of those that were moved aside go."""
    for _ in range(20):
        (tmp_path / "11-a.json").write_text("damaged")
        reap(tmp_path)
    assert len([path for path in tmp_path.iterdir() if ".corrupt-" in path.name]) <= worker_files.KEPT_ASIDE + 1


def test_any_bytes_are_refused_or_read():
    """No content of a file raises anything else."""
    registry = MetricRegistry()
    registry.counter("jobs_total", "Jobs.").labels().inc(1)
    registry.histogram("work_seconds", "Work.", ("kind",)).labels("a").observe(1)
    good = shards.dump(registry.families())
    source = random.Random(5)
    for _ in range(3000):
        text = list(good)
        for _ in range(source.randint(1, 4)):
            text[source.randrange(len(text))] = source.choice('0-e9[]{}",:nulltrue\ud800\x00')
        merged = MetricRegistry()
        try:
            shards.absorb(merged, "".join(text))
        except shards.DamagedShardError:
            continue
        render(merged.families()).decode()


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerGroup:
    """Return a group that has joined, with three jobs."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(tmp_path))
    registry = MetricRegistry()
    registry.counter("jobs_total", "Jobs.").labels().inc(3)
    made = WorkerGroup(registry)
    made.join()
    made.families()
    return made


def page(group: WorkerGroup) -> str:
    """Return the page of a scrape."""
    return render(group.families()).decode()


def test_a_full_disk_is_said_once(
    group: WorkerGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Nothing is lost of what is on the disk; the page says that it cannot be written, and when it can again."""
    add_dead_worker(tmp_path, "11-a", 1)

    def full(_path: Path, _text: str) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_whole", full)
        group._registry.counter("jobs_total", "Jobs.").labels().inc(2)
        for _ in range(3):
            text = page(group)
            assert "\njobs_total 6.0\n" in text
            assert 'perfloop_state_writable{state="workers"} 0.0\n' in text
    assert caplog.text.count("could not be written") == 1
    assert caplog.text.count("stay in their own files") == 1
    text = page(group)
    assert "\njobs_total 6.0\n" in text
    assert 'perfloop_state_writable{state="workers"} 1.0\n' in text
    assert not (tmp_path / "11-a.json").exists()
    group.leave()


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_directory_that_can_only_be_read(tmp_path: Path):
    """Another user reads the same totals, of living and of ended workers."""
    add_dead_worker(tmp_path, "11-a", 1)
    reap(tmp_path)
    add_dead_worker(tmp_path, "12-b", 10)
    for path in (*tmp_path.iterdir(), tmp_path):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    child = os.fork()
    if not child:
        code = 1
        try:
            if os.getuid() == 0:
                os.setresuid(65534, 65534, 65534)
            code = 0 if [reap(tmp_path) for _ in range(2)] == [11, 11] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tmp_path.chmod(0o755)
    assert reap(tmp_path) == 11


def test_a_worker_that_is_stopped_with_the_lock_delays_scrapes_only_a_moment(
    group: WorkerGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The totals are read without the lock, and nothing is moved."""
    monkeypatch.setattr(worker_files, "LOCK_SECONDS", 0.1)
    add_dead_worker(tmp_path, "11-a", 1)
    with (tmp_path / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "\njobs_total 4.0\n" in page(group)
        assert (tmp_path / "11-a.json").exists()
    assert "\njobs_total 4.0\n" in page(group)
    assert not (tmp_path / "11-a.json").exists()
    group.leave()


def test_a_worker_writes_its_file_again_when_it_is_gone(group: WorkerGroup, tmp_path: Path):
    """Also when nothing has changed since: another worker has moved a damaged one aside."""
    group.write()
    (path,) = (path for path in tmp_path.glob("*.json") if path.name != "archive.json")
    path.unlink()
    group.write()
    assert path.exists()
    group.leave()


def test_joining_is_tried_again_when_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Scrapes meanwhile do not wait, and have the worker's own metrics."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(tmp_path))
    registry = MetricRegistry()
    registry.counter("jobs_total", "Jobs.").labels().inc(3)
    group = WorkerGroup(registry)

    def refuse(*_: Any) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        for _ in range(3):
            group.join()
        assert "\njobs_total 3.0\n" in page(group)
    assert caplog.text.count("do not share their metrics yet") == 1
    group.join()
    assert "perfloop_workers 1.0\n" in page(group)
    group.leave()


def test_workers_whose_metrics_conflict_are_all_scraped(group: WorkerGroup, tmp_path: Path):
    """One has a gauge where another has a counter: that family is left out of one of them, nothing else."""
    registry = MetricRegistry()
    registry.gauge("jobs", "Jobs.").labels().set(1)
    registry.counter("other_total", "Other.").labels().inc(5)
    shards.write_whole(tmp_path / "99-z.json", shards.dump(registry.families()))
    text = page(group)
    assert "\njobs_total 3.0\n" in text
    assert "\nother_total 5.0\n" in text
    assert (tmp_path / "99-z.json").exists()
    group.leave()
