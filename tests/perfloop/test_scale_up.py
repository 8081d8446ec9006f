"""`perfloop up --native --scale`, as a person uses it: a pair, a store, one address that analyzer and Grafana read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from perfloop.stack import programs
from perfloop.stack.ports import is_free
from perfloop_base.errors import ExitCode
from tests.support.native_stack import Stack, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("scale-stack")]
ADDED = {"prometheus_2", "victoriametrics"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A native stack with a long-term store, without the demo, up and healthy."""
    if programs.find("victoria-metrics") is None:
        pytest.skip("victoria-metrics is neither on PATH nor in .perfloop/bin: run `make tools`")
    stack = Stack(tmp_path_factory.mktemp("scale"))
    try:
        code, out, err = stack.run("up", "--native", "--scale", "--no-demo")
        assert code == 0, err
        assert stack.url("victoriametrics") in out
        yield stack
    finally:
        stack.clear()
    assert [name for name, port in stack.ports.items() if not is_free(port)] == []


def ask(stack: Stack, component: str, expression: str) -> list[dict[str, Any]]:
    """Return the result of an instant query of one Prometheus, or of the store."""
    answer = httpx.post(stack.url(component, "/api/v1/query"), data={"query": expression}, timeout=20)
    return list(answer.raise_for_status().json()["data"]["result"])


def test_the_pair_and_the_store_are_components(stack: Stack):
    """Rows of `perfloop status`, healthy, each with its address and its log."""
    wait(stack.is_healthy, 60, "a healthy stack")
    rows = stack.components()
    assert set(rows) >= ADDED
    assert {rows[name]["url"] for name in ADDED} == {stack.url(name) for name in ADDED}
    for name in ADDED:
        assert stack.run("logs", name, "-n", "1")[0] == 0


def test_samples_of_both_arrive_once(stack: Stack):
    """Every target is in the store by one name, whichever of the two scraped it; an interval has one sample."""
    expected = {"node", "analyzer", "inbox", "prometheus", "alertmanager", "victoriametrics"}
    wait(lambda: expected <= {one["metric"]["job"] for one in ask(stack, "victoriametrics", "up == 1")}, 60, "samples")
    assert ask(stack, "victoriametrics", 'count({replica!=""})') == []
    for name in ("prometheus", "prometheus_2"):
        wait(lambda n=name: ask(stack, n, "prometheus_remote_storage_samples_total > 100") != [], 60, "its samples")
    wait(lambda: ask(stack, "victoriametrics", 'count_over_time(up{job="node"}[30s]) >= 6') != [], 90, "half a minute")
    (series,) = ask(stack, "victoriametrics", 'up{job="node"}[30s]')
    intervals = [-(-round(float(at) * 1000) // 5000) for at, _ in series["values"]]
    assert len(intervals) == len(set(intervals))


def test_an_alert_of_both_is_one(stack: Stack):
    """The label by which they differ is dropped before Alertmanager."""

    def alerts() -> list[dict[str, Any]]:
        return list(httpx.get(stack.url("alertmanager", "/api/v2/alerts"), timeout=10).json())

    wait(lambda: any(one["labels"]["alertname"] == "Watchdog" for one in alerts()), 60, "the watchdog")
    time.sleep(15)  # by then the second has sent its own
    watchdogs = [one for one in alerts() if one["labels"]["alertname"] == "Watchdog"]
    assert len(watchdogs) == 1
    assert "replica" not in watchdogs[0]["labels"]


def test_the_analyzer_reads_from_the_store(stack: Stack):
    """Its environment names the store, and the store counts its questions."""
    assert stack.process("analyzer").environ()["PERFLOOP_READ_URL"] == stack.url("victoriametrics")
    asked = 'sum(vm_http_requests_total{path=~"(/prometheus)?/api/v1/query_range"}) > 0'
    wait(lambda: ask(stack, "prometheus", asked) != [], 60, "the analyzer's questions")


def test_doctor_says_whether_samples_arrive(stack: Stack):
    """`doctor` says that samples arrive; a store that does not answer is a trouble of `status`."""
    wait(lambda: "every sample is delivered" in stack.run("doctor")[1], 60, "doctor's word")
    store = stack.process("victoriametrics")
    store.suspend()
    try:
        httpx.post(stack.url("prometheus", "/-/healthy"), timeout=5)
        wait(lambda: not stack.is_healthy(), 30, "a store that does not answer")
    finally:
        store.resume()
    wait(stack.is_healthy, 90, "a healthy stack")


def test_another_up_keeps_the_store(stack: Stack):
    """`up` without the flag applies changes to what runs; nothing is stopped or restarted."""
    before = {name: stack.process(name).pid for name in ("prometheus", *ADDED)}
    code, _, err = stack.run("up", "--native", "--no-demo")
    assert code == 0, err
    assert {name: stack.process(name).pid for name in before} == before


def test_the_second_comes_back_when_it_is_killed(stack: Stack):
    """As every component."""
    old = stack.process("prometheus_2")
    old.kill()
    psutil.wait_procs([old], timeout=10)
    wait(lambda: stack.process("prometheus_2").pid != old.pid and stack.is_healthy(), 60, "its return")
    assert stack.components()["prometheus_2"]["restarts"] >= 1


def test_a_plain_stack_is_not_turned_into_one(stack: Stack, tmp_path_factory: pytest.TempPathFactory):
    """Its Prometheus runs with another configuration: one sentence with what to do."""
    plain = Stack(tmp_path_factory.mktemp("plain"))
    try:
        plain.up()
        code, _, err = plain.run("up", "--native", "--no-demo", "--scale")
        assert code == ExitCode.USAGE
        assert "the stack runs without a long-term store: `perfloop down` first" in err
        assert not ADDED & set(plain.components())
    finally:
        plain.clear()
