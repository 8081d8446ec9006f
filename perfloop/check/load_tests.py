"""Load tests: a baseline is kept, the tests passed on what goes live, and a test has shown the goal for throughput."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop.check import advice
from perfloop.check.findings import UnansweredError, failed, passed, unknown
from perfloop_base.promql import quote
from perfloop_base.quantities import quantity, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfloop.check.findings import Finding
    from perfloop.check.sources import Sources
    from perfloop_loadgen.store.stored import StoredRun

_LEAST_SECONDS = 60.0  # a rate that was held for less shows no throughput
_RANKED = 20  # so many runs are read for their thresholds
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENDED = "ended"  # perfloop_loadgen.summary.document.State
_SERVICE = "service"  # the label of a run that names the service itself


def look_for_baseline(sources: Sources) -> Iterator[Finding]:
    """A test of the service has a baseline."""
    runs = _relevant(sources)
    tests = {run.test for run in runs}
    baselines = [one for one in sources.history.baselines if one.test in tests]
    if baselines:
        newest = max(baselines, key=lambda one: one.set_unix)
        names = ", ".join(sorted({f"{one.name} of {one.test}" for one in baselines})[:4])
        yield passed(f"{names}; the newest was set {_ago(sources, newest.set_unix)}")
    elif runs:
        yield failed(f"no load test{_subject(sources)} has a baseline", advice.SET_BASELINE)
    else:
        yield failed(f"no load test{_subject(sources)} is stored", advice.RUN_TEST)


def look_for_passed_test(sources: Sources) -> Iterator[Finding]:
    """The newest run of each test, on what goes live, passed, and not too long ago."""
    runs = _relevant(sources)
    if not runs:
        yield failed(f"no load test{_subject(sources)} is stored", advice.RUN_TEST)
        return
    which, is_meant, problem = _going_live(sources)
    if problem:
        last = runs[0]
        yield unknown(f"{_described(sources, last)}, but {problem}", advice.NAME_VERSION)
        return
    meant = [run for run in runs if is_meant(run)]
    if not meant:
        yield failed(
            f"no stored load test is of {which}; the newest is {_described(sources, runs[0])}", advice.RUN_TEST
        )
        return
    # What somebody stopped proves nothing, nor does it undo what an earlier run of the test has shown.
    ended = [run for run in meant if run.state == _ENDED]
    newest = {run.test: run for run in reversed(ended or meant)}.values()
    yield _judge(sources, list(newest), which)


def _judge(sources: Sources, newest: Sequence[StoredRun], which: str) -> Finding:
    """Return whether the newest runs of each test show that what goes live has passed."""
    bad = [run for run in newest if not run.passed]
    if bad:
        return failed(f"{_listed(sources, bad)} on {which}", advice.LIST_RUNS)
    counted = [run for run in newest if sources.history.could_fail(run)]
    if not counted:
        words = f"{_listed(sources, newest)} without a threshold that it could have broken"
        return failed(words, advice.ADD_THRESHOLDS)
    old = [run for run in counted if sources.now - run.started_unix > sources.config.test_age]
    if old:
        return failed(f"{_listed(sources, old)}: longer ago than {span(sources.config.test_age)}", advice.RUN_TEST)
    return passed(f"{_listed(sources, counted)} on {which}")


def look_for_throughput(sources: Sources) -> Iterator[Finding]:
    """A test that passed has held the goal of the service's requests per second."""
    runs = [run for run in _relevant(sources) if run.passed and run.duration_seconds >= _LEAST_SECONDS]
    fresh = [run for run in runs if sources.now - run.started_unix <= sources.config.test_age]
    if sources.config.labels:
        _, is_meant, _ = _going_live(sources)
        fresh = [run for run in fresh if is_meant(run)]
    goal = sources.scaling.of(sources.config.service).goal_requests_per_second
    ranked = sorted(fresh, key=sources.history.rate_of, reverse=True)
    # A rate at which nothing could fail shows nothing.
    best = next((run for run in ranked[:_RANKED] if sources.history.could_fail(run)), None)
    rate = sources.history.rate_of(best) if best else 0.0
    if best is None:
        wanted = f"no load test{_subject(sources)} with thresholds has passed and lasted {_LEAST_SECONDS:.0f} s"
        yield failed(f"{wanted}; the goal is {quantity(goal, 'per_second')}", advice.FIND_LIMIT)
    elif rate < goal:
        shown = f"{best.test} held {quantity(rate, 'per_second')} (run {best.run_id})"
        yield failed(f"{shown}; the goal is {quantity(goal, 'per_second')}", advice.FIND_LIMIT)
    else:
        held = f"{best.test} held {quantity(rate, 'per_second')} {_ago(sources, best.started_unix)}"
        yield passed(f"{held}; the goal is {quantity(goal, 'per_second')}")


def _relevant(sources: Sources) -> Sequence[StoredRun]:
    """Return the runs of the service, or of the test that is named, the newest first; those under way left out."""
    runs = sources.history.runs
    if sources.config.test:
        return [run for run in runs if run.test == sources.config.test]
    service = sources.config.service
    if not service:
        return runs
    labelled = [run for run in runs if run.labels.get(_SERVICE) == service]
    try:
        instances = [labels.get("instance", "") for labels, _ in sources.query(f"up{{service={quote(service)}}}")]
    except UnansweredError:
        if labelled or not runs:
            return labelled
        raise
    return [run for run in runs if run in labelled or any(is_at(one, run.base_url) for one in instances)]


def _going_live(sources: Sources) -> tuple[str, Callable[[StoredRun], bool], str]:
    """Return what goes live in words, whether a run is of it, and why that is not known; nothing where it is."""
    labels = dict(sources.config.labels)
    if labels:
        words = ", ".join(f"{name}={value}" for name, value in labels.items())
        return words, lambda run: labels.items() <= run.labels.items(), ""
    from perfloop_loadgen.app.revision import read_revision
    from perfloop_loadgen.store.changes import short

    revision = read_revision()
    if not revision:
        return "", lambda _: False, "which version goes live is not known: this directory has no commit"
    if "-" in revision:
        return "", lambda _: False, f"files here differ from the commit {short(revision)}: what goes live is not known"
    return f"commit {short(revision)}", lambda run: run.revision == revision, ""


def is_at(instance: str, base_url: str) -> bool:
    """Return whether a target's address is a test's `base_url`; this machine has several names."""
    try:
        tested, scraped = urlsplit(base_url), urlsplit(f"//{instance}")
        ports = (tested.port or {"http": 80, "https": 443}.get(tested.scheme), scraped.port or 80)
        hosts = [tested.hostname or "", scraped.hostname or ""]
    except ValueError:
        return False
    if ports[0] != ports[1]:
        return False
    # A name without a dot is a container's: from outside it is published on this machine.
    local = hosts[0] in _LOOPBACK and (hosts[1] in _LOOPBACK or "." not in hosts[1])
    return hosts[0] == hosts[1] or local


def _subject(sources: Sources) -> str:
    """Return what the load tests are of, as a sentence goes on after "load test"."""
    config = sources.config
    return f" named {config.test}" if config.test else f" of {config.service}" if config.service else ""


def _listed(sources: Sources, runs: Sequence[StoredRun]) -> str:
    shown = "; ".join(_described(sources, run) for run in runs[:3])
    return f"{shown}; and {len(runs) - 3} more" if len(runs) > 3 else shown  # noqa: PLR2004 - as many as are shown


def _described(sources: Sources, run: StoredRun) -> str:
    figures = f"p95 {quantity(run.p95_seconds, 'seconds')} at {quantity(run.rate, 'per_second')}"
    return f"{run.test} {run.how} {_ago(sources, run.started_unix)} ({figures})"


def _ago(sources: Sources, unix: float) -> str:
    return f"{span(sources.now - unix)} ago"
