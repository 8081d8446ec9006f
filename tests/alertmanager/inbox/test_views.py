"""What is read from the answers of Prometheus and Alertmanager."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from perfloop_inbox import alertmanager, prometheus
from perfloop_inbox.cli import parse_url
from perfloop_inbox.incidents import key_of

if TYPE_CHECKING:
    from pathlib import Path


def test_waits_of_the_shipped_routes(config: Path):
    """Every receiver of people reports; the heartbeat's own intervals are not theirs."""
    committed = yaml.safe_load(config.read_text())
    reporting = alertmanager.find_reporting(committed)
    assert reporting == {"slack", "email", "pagerduty"}
    waits = {(name, wait, every) for name, wait, every in alertmanager.list_waits(committed["route"])}
    assert {("slack", 10.0, 30.0), ("pagerduty", 3.0, 30.0), ("heartbeat", 0.0, 30.0)} <= waits


def test_an_alertmanager_that_hides_addresses(config: Path):
    """Since 0.26 a webhook's address is shown as `<secret>`: the same receivers are found."""
    shown = yaml.safe_load(config.read_text())
    for receiver in shown["receivers"]:
        receiver["webhook_configs"] = [{**hook, "url": "<secret>"} for hook in receiver.get("webhook_configs", [])]
    assert alertmanager.find_reporting(shown) == {"slack", "email", "pagerduty"}


def test_waits_are_inherited():
    """A route that says nothing has what is above it, and Alertmanager's defaults where nothing is."""
    route = {"receiver": "a", "routes": [{"receiver": "b", "group_wait": "1s", "routes": [{"group_interval": "2m"}]}]}
    assert list(alertmanager.list_waits(route)) == [("a", 30.0, 300.0), ("b", 1.0, 300.0), ("b", 1.0, 120.0)]


@pytest.mark.parametrize(
    "text", ["2026-11-29T09:43:32.451724499Z", "2026-11-29T10:43:32.451724+01:00", "2026-11-29T09:43:32.4517Z"]
)
def test_times(text: str):
    """Go writes nine digits of a second, and any zone."""
    assert alertmanager.parse_time(text) == pytest.approx(1_795_945_412.4517, abs=1e-3)
    assert alertmanager.parse_time(alertmanager.format_time(1_795_945_412.25)) == 1_795_945_412.25


def answer_with(answers: dict[str, Any]) -> httpx.AsyncClient:
    """A client whose server has these answers by path, and nothing else."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path)
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def a_prometheus(**changes: Any) -> dict[str, Any]:
    """The answers of a Prometheus with one alert, by path."""
    rule = {"name": "A", "health": "ok", "lastEvaluation": "2026-11-29T09:43:32.45Z"}
    alert = {"labels": {"alertname": "A", "zone": "own"}, "annotations": {}, "state": "firing"}
    configured = "global: {external_labels: {zone: eu, cluster: c1}}\n"
    answers = {
        "status/runtimeinfo": {"startTime": "s1"},
        "status/config": {"yaml": configured},
        "alerts": {"alerts": [alert]},
        "rules": {"groups": [{"interval": 5, "rules": [rule]}]},
    } | changes
    return {f"/api/v1/{path}": {"data": data} for path, data in answers.items()}


async def test_external_labels_are_those_of_alertmanager():
    """Prometheus adds them on the way; a label that the alert has itself stays."""
    async with answer_with(a_prometheus()) as client:
        view = await prometheus.Prometheus(client, "http://p").read_view(rules=True)
    assert view is not None
    assert list(view.alerts) == [key_of({"alertname": "A", "zone": "own", "cluster": "c1"})]
    assert view.rules == {"A": 5.0}


async def test_a_user_in_the_address_is_sent_and_not_linked_to():
    """Notifications link to the address that a view has: it has no password."""
    seen: list[httpx.Request] = []
    answers = a_prometheus()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=answers[request.url.path])

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        view = await prometheus.Prometheus(client, parse_url("http://ann:some-pass@p/")).read_view(rules=True)
    assert view is not None
    assert view.url == "http://p"
    pair = base64.b64encode(b"ann:some-pass").decode()
    assert {one.headers["Authorization"] for one in seen} == {f"Basic {pair}"}
    assert not any("some-pass" in str(one.url) for one in seen)


@pytest.mark.parametrize("fault", [{"lastEvaluation": "0001-01-01T00:00:00Z"}, {"health": "err"}])
async def test_a_rule_that_was_not_evaluated_decides_nothing(fault: dict[str, str]):
    """Never, or not without an error: nothing can be said of its alerts."""
    rule = {"name": "A", "health": "ok", "lastEvaluation": "2026-11-29T09:43:32.45Z"} | fault
    async with answer_with(a_prometheus(rules={"groups": [{"interval": 5, "rules": [rule]}]})) as client:
        view = await prometheus.Prometheus(client, "http://p").read_view(rules=True)
    assert view is not None
    assert view.rules == {"A": math.inf}


@pytest.mark.parametrize(
    "answers",
    [
        {},
        a_prometheus(alerts={"alerts": [{"state": "firing"}]}),
        a_prometheus(rules={"groups": [{}]}),
        a_prometheus(**{"status/config": {"yaml": "a: [b"}}),
    ],
)
async def test_an_answer_that_is_not_prometheuss_is_none(answers: dict[str, Any]):
    """Whatever answers there: it counts as no answer, and nothing raises."""
    async with answer_with(answers) as client:
        assert await prometheus.Prometheus(client, "http://p").read_view(rules=True) is None
        assert await alertmanager.read_view(client, ["http://a"]) is None


async def test_relabelling_is_noticed():
    """Alertmanager would know the alerts by other labels than those that are read."""
    relabelled = {"yaml": "alerting: {alert_relabel_configs: [{action: labeldrop, regex: zone}]}\n"}
    async with answer_with(a_prometheus(**{"status/config": relabelled})) as client:
        reader = prometheus.Prometheus(client, "http://p")
        await reader.read_view(rules=False)
    assert reader.relabels


@pytest.mark.parametrize("text", ["here", "ftp://a:1", "http://", "http://a:b", "http://u:hidden-word@"])
def test_a_wrong_address_is_refused_without_repeating_it(text: str):
    """It may hold a password."""
    with pytest.raises(ValueError, match=r"http://HOST:PORT") as caught:
        parse_url(text)
    assert "hidden-word" not in str(caught.value)


def test_each_channel_of_the_shipped_configuration_has_one_receiver(config: Path):
    """So a message in the mailbox says which receiver's it is."""
    committed = yaml.safe_load(config.read_text())
    found = alertmanager.find_channels(committed, alertmanager.find_reporting(committed))
    assert found == {name: name for name in ("slack", "email", "pagerduty")}


@pytest.mark.parametrize("change", ["second", "grouping", "no ends", "no report"])
def test_a_channel_whose_messages_do_not_say_whose_they_are_proves_nothing(config: Path, change: str):
    """Two receivers, other groups, no ends, or no reports to compare with."""
    changed = yaml.safe_load(config.read_text())
    slack = next(one for one in changed["receivers"] if one["name"] == "slack")
    if change == "second":
        changed["receivers"].append({**slack, "name": "own"})
    elif change == "grouping":
        changed["route"]["routes"].append({"receiver": "slack", "group_by": ["cluster"]})
    elif change == "no ends":
        slack["slack_configs"][0]["send_resolved"] = False
    else:
        del slack["webhook_configs"]
    assert "slack" not in alertmanager.find_channels(changed, alertmanager.find_reporting(changed))
