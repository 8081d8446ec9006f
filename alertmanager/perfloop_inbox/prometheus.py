"""Prometheus's API: which alerts fire, whether their rules are evaluated, and which came and went meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import yaml

from perfloop_base.redaction import split_user
from perfloop_inbox.alertmanager import BAD_ANSWERS, parse_time
from perfloop_inbox.incidents import Key, PrometheusAlert, PrometheusView, key_of
from perfloop_inbox.timeline import Samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

# How Prometheus writes "never".
_NEVER = "0001-01-01"


class Prometheus:
    """One Prometheus, as seen through its API.

    Args:
        client: with the timeout of every question.
        url: its address.
    """

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        # What is opened here is also what notifications link to.
        self._url, authorization = split_user(url)
        self._headers = {"Authorization": authorization} if authorization else {}
        self._run = ""
        self._external: dict[str, str] = {}
        self.relabels = False

    async def read_view(self, *, rules: bool) -> PrometheusView | None:
        """Return what it says; None when it does not answer.

        Args:
            rules: whether to ask for the rules as well, which costs it more.
        """
        try:
            run = str((await self._get("status/runtimeinfo"))["startTime"])
            if run != self._run:
                await self._read_configuration()
                self._run = run
            # The rules first: what is evaluated by then has its alerts in the list that is read after it.
            groups = (await self._get("rules", type="alert"))["groups"] if rules else None
            alerts = [self._parse_alert(alert) for alert in (await self._get("alerts"))["alerts"]]
            listed = {key_of(alert.labels): alert for alert in alerts}
            if groups is None:
                return PrometheusView(run, listed, url=self._url)
            return _with_rules(run, listed, groups, self._url)
        except BAD_ANSWERS:
            return None

    async def read_samples(self, since: float, now: float) -> dict[Key, Samples] | None:
        """Return the samples of alerts since a time; None when it does not answer."""
        window = max(1, int(now - since))
        try:
            found = (await self._get("query", query=f"ALERTS[{window}s]", time=f"{now:.3f}"))["result"]
            return self._parse_samples(found)
        except BAD_ANSWERS:
            return None

    async def _get(self, path: str, **query: str) -> Any:
        answer = await self._client.get(f"{self._url}/api/v1/{path}", params=query, headers=self._headers)
        return answer.raise_for_status().json()["data"]

    async def _read_configuration(self) -> None:
        config = yaml.safe_load((await self._get("status/config"))["yaml"])
        labels = (config.get("global") or {}).get("external_labels") or {}
        self._external = {name: str(value) for name, value in labels.items()}
        self.relabels = bool((config.get("alerting") or {}).get("alert_relabel_configs"))

    def _parse_alert(self, alert: dict[str, Any]) -> PrometheusAlert:
        labels = {**self._external, **alert["labels"]}
        return PrometheusAlert(labels, dict(alert.get("annotations") or {}), firing=alert["state"] == "firing")

    def _parse_samples(self, found: Iterable[dict[str, Any]]) -> dict[Key, Samples]:
        samples: dict[Key, Samples] = {}
        for series in found:
            alert = self._name(series["metric"])
            one = samples.setdefault(key_of(alert.labels), Samples(alert))
            moments = [float(at) for at, _ in series["values"]]
            if series["metric"].get("alertstate") == "firing":
                one.firing = moments
            else:
                one.pending = moments
        return samples

    def _name(self, metric: dict[str, str]) -> PrometheusAlert:
        names = {name: text for name, text in metric.items() if name not in ("__name__", "alertstate")}
        labels = {**self._external, **names}
        texts = {
            "summary": f"{labels.get('alertname', 'An alert')} fired and ended",
            "description": "It came and went while notifications could not be sent.",
        }
        return PrometheusAlert(labels, texts, firing=False)


def _with_rules(
    run: str, alerts: dict[Key, PrometheusAlert], groups: Iterable[dict[str, Any]], url: str
) -> PrometheusView:
    evaluated: dict[str, float] = {}
    newest, interval = 0.0, 0.0
    for group in groups:
        interval = max(interval, float(group["interval"]))
        for rule in group["rules"]:
            at = 0.0 if rule["lastEvaluation"].startswith(_NEVER) else parse_time(rule["lastEvaluation"])
            newest = max(newest, at)
            every = float(group["interval"]) if at > 0 and rule["health"] == "ok" else math.inf
            evaluated[rule["name"]] = max(evaluated.get(rule["name"], 0.0), every)
    return PrometheusView(run, alerts, evaluated, newest, interval, url)
