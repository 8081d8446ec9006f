"""Targets, rules, retention and dashboards of a real Prometheus; answers of programs that are something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.check import advice, monitoring
from perfloop.check.findings import UnansweredError, Verdict
from perfloop_base.thresholds import parse_thresholds
from tests.support.alerting_chain import Chain, free_port, serve, start_prometheus, wait_until
from tests.support.readiness import CHECKOUT, answering, looked, make_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str) -> Iterator[Chain]:
    """A Prometheus with the committed rules that keeps a day, one target that is up, and one that is down."""
    made = Chain(tmp_path_factory.mktemp("chain"))
    made.urls["alertmanager"] = f"http://127.0.0.1:{free_port()}"
    with serve(made.service) as port:
        try:
            targets = {"shop": f"127.0.0.1:{port}", "cart": f"127.0.0.1:{free_port()}"}
            start_prometheus(made, targets, flags=("--storage.tsdb.retention.time=1d",))
            wait_until(lambda: made.query('up{service="shop"} == 1'), what="the first scrape")
            wait_until(lambda: made.query('up{service="cart"} == 0'), what="the target that is down")
            yield made
        finally:
            made.stop()


def urls(chain: Chain) -> dict[str, str]:
    """Return the address of the chain's Prometheus."""
    return {"prometheus": chain.urls["prometheus"]}


def test_targets(chain: Chain, tmp_path: Path):
    """One that is down is named with its reason; of a service only its own count; one that is not there fails."""
    whole = looked(monitoring.look_at_targets, make_sources(tmp_path, urls(chain)))
    assert whole.verdict is Verdict.FAILED
    assert "is down: " in whole.words
    shop = looked(monitoring.look_at_targets, make_sources(tmp_path, urls(chain), service="shop"))
    assert (shop.verdict, shop.words) == (Verdict.PASSED, "targets up: 1, of shop")
    gone = looked(monitoring.look_at_targets, make_sources(tmp_path, urls(chain), service="gone"))
    assert (gone.verdict, gone.advice) == (Verdict.FAILED, advice.ADD_TARGET)
    assert gone.words.startswith("Prometheus has no target of gone; it has alertmanager, cart, shop")


def test_alerts_are_loaded(chain: Chain, tmp_path: Path):
    """The committed rules are, once they were evaluated."""
    sources = make_sources(tmp_path, urls(chain))
    wait_until(lambda: looked(monitoring.look_at_alerts, sources).verdict is Verdict.PASSED, what="an evaluation")
    assert "alerts and" in looked(monitoring.look_at_alerts, sources).words


def test_a_day_is_too_short_for_a_month(chain: Chain, tmp_path: Path):
    """The windows of the error budgets are 30 days."""
    found = looked(monitoring.look_at_retention, make_sources(tmp_path, urls(chain)))
    assert (found.verdict, found.advice) == (Verdict.FAILED, advice.RETAIN)
    assert found.words == "data is kept for 24 h, and a rule looks back 30 d"


def test_a_prometheus_that_writes_nowhere_else_passes(chain: Chain, tmp_path: Path):
    """There is nothing that could be behind."""
    found = looked(monitoring.look_at_remote_write, make_sources(tmp_path, urls(chain)))
    assert (found.verdict, found.words[:37]) == (Verdict.PASSED, "Prometheus writes to no other store: ")


def rules(*queries: str) -> dict[str, Any]:
    """Return what Prometheus says of rules with these expressions."""
    found = [{"name": "r", "type": "recording", "query": query, "health": "ok"} for query in queries]
    return {"data": {"groups": [{"rules": found}]}}


@pytest.mark.parametrize(
    ("stated", "verdict", "words"),
    [
        ("32d", "passed", "data is kept for 32 d, the longest window of a rule is 30 d"),
        ("4w4d", "passed", "data is kept for 32 d"),
        ("15d", "failed", "data is kept for 15 d, and a rule looks back 30 d"),
        ("20GiB", "unknown", "Prometheus limits its data by size alone (20GiB)"),
        ("32d or 20GiB", "passed", "nothing was dropped for the limit of 20GiB yet"),
        ("", "unknown", "by size alone"),
    ],
)
def test_what_prometheus_says_of_its_retention(tmp_path: Path, stated: str, verdict: str, words: str):
    """By time, by size, by both, in its own notation."""
    answers = {
        "/api/v1/rules": rules("sum(rate(x[5m]))", "sum_over_time(x[30d])", "a_function_of_2030(x[1h])"),
        "/api/v1/status/runtimeinfo": {"data": {"storageRetention": stated}},
        "/api/v1/query": {"data": {"result": []}},
    }
    with answering(answers) as prometheus:
        found = looked(monitoring.look_at_retention, make_sources(tmp_path, {"prometheus": prometheus.url}))
    assert found.verdict == verdict
    assert words in found.words


def test_a_window_in_a_promql_that_is_not_known_counts(tmp_path: Path):
    """A newer function does not hide how far a rule looks back."""
    answers = {
        "/api/v1/rules": rules("no_such_function_yet(x[90d] smoothed)"),
        "/api/v1/status/runtimeinfo": {"data": {"storageRetention": "32d"}},
    }
    with answering(answers) as prometheus:
        found = looked(monitoring.look_at_retention, make_sources(tmp_path, {"prometheus": prometheus.url}))
    assert found.words == "data is kept for 32 d, and a rule looks back 90 d"


def test_data_that_was_dropped_for_its_size_fails(tmp_path: Path):
    """Prometheus counts how often that happened."""
    answers = {
        "/api/v1/rules": rules("x[30d]"),
        "/api/v1/status/runtimeinfo": {"data": {"storageRetention": "32d or 1GB"}},
        "/api/v1/query": {"data": {"result": [{"metric": {}, "value": [1, "3"]}]}},
    }
    with answering(answers) as prometheus:
        found = looked(monitoring.look_at_retention, make_sources(tmp_path, {"prometheus": prometheus.url}))
    assert found.verdict is Verdict.FAILED


def test_a_rule_that_cannot_be_evaluated_fails(tmp_path: Path):
    """With what Prometheus says of it."""
    answers = {"/api/v1/rules": rules("x")}
    broken = {"name": "Bad", "type": "alerting", "query": "y", "health": "err", "lastError": "many-to-many"}
    answers["/api/v1/rules"]["data"]["groups"][0]["rules"].append(broken)
    with answering(answers) as prometheus:
        found = looked(monitoring.look_at_alerts, make_sources(tmp_path, {"prometheus": prometheus.url}))
    assert (found.verdict, found.words) == (Verdict.FAILED, "rules that cannot be evaluated: Bad: many-to-many")


def boards() -> dict[str, Any]:
    """Return what a Grafana with every committed dashboard answers."""
    found = [json.loads(path.read_text()) for path in (CHECKOUT / "grafana" / "dashboards").glob("*.json")]
    return {f"/api/dashboards/uid/{one['uid']}": {"dashboard": {"uid": one["uid"]}} for one in found}


def test_dashboards(tmp_path: Path):
    """All are there, one is missing, Grafana is something else, Grafana is nowhere."""
    with answering(boards()) as grafana:
        sources = make_sources(tmp_path, {"grafana": grafana.url}, grafana_url=grafana.url)
        assert looked(monitoring.look_at_dashboards, sources).verdict is Verdict.PASSED
        gone = min(grafana.answers)
        del grafana.answers[gone]
        found = looked(monitoring.look_at_dashboards, sources)
        assert found.verdict is Verdict.FAILED
        assert found.words.startswith("Grafana lacks ")
        grafana.answers[gone] = b"<html>Sign in</html>"
        with pytest.raises(UnansweredError, match="it is no JSON"):
            looked(monitoring.look_at_dashboards, sources)
    nowhere = looked(monitoring.look_at_dashboards, make_sources(tmp_path))
    assert (nowhere.verdict, nowhere.advice) == (Verdict.UNKNOWN, advice.GET_GRAFANA)


def test_a_users_password_is_in_no_sentence(tmp_path: Path):
    """Grafana's address may hold one."""
    address = f"http://admin:s3cretpass@127.0.0.1:{free_port()}"
    sources = make_sources(tmp_path, {"grafana": address}, grafana_url=address)
    with pytest.raises(UnansweredError) as caught:
        looked(monitoring.look_at_dashboards, sources)
    assert "s3cretpass" not in str(caught.value)


def limits_of(text: str) -> dict[str, Any]:
    """Return what an analyzer with these thresholds says of its limits."""
    signals = parse_thresholds(text, "thresholds.yml").signals
    return {"signals": {one.name: dict(one.limits) for one in signals}}


def test_limits_of_programs_at_other_addresses(chain: Chain, tmp_path: Path):
    """The rules that a Prometheus has loaded, and the analyzer's limits, are those of the files, or named."""
    text = (CHECKOUT / "prometheus" / "thresholds.yml").read_text()
    with answering({"/api/v1/thresholds": limits_of(text)}) as analyzer:
        sources = make_sources(tmp_path, urls(chain) | {"analyzer": analyzer.url})
        assert looked(monitoring.look_at_limits, sources).words == "rules and analyzer agree"
        analyzer.answers["/api/v1/thresholds"]["signals"]["error_ratio"]["warning"] = 0.5
        found = looked(monitoring.look_at_limits, make_sources(tmp_path, urls(chain) | {"analyzer": analyzer.url}))
    assert found.verdict is Verdict.FAILED
    assert "error_ratio (warning): the analyzer uses 0.5, " in found.words


def test_what_cannot_be_compared_with_files_is_unknown(tmp_path: Path):
    """Another program at the address, and no address at all."""
    with answering({}) as stranger:
        urls = {"prometheus": stranger.url, "analyzer": stranger.url}
        found = looked(monitoring.look_at_limits, make_sources(tmp_path, urls))
    assert found.verdict is Verdict.UNKNOWN
    with pytest.raises(UnansweredError, match=r"--analyzer\.url is missing"):
        looked(monitoring.look_at_limits, make_sources(tmp_path, {"prometheus": "http://127.0.0.1:1"}))
    with pytest.raises(UnansweredError, match=r"--prometheus\.url is missing"):
        looked(monitoring.look_at_limits, make_sources(tmp_path))
