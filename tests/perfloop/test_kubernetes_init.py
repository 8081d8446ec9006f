"""The init container of the chart's Alertmanager."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop.stack import kubernetes_init
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


def _run(checkout: Path, tmp_path: Path, *more: str) -> int:
    return kubernetes_init.main(
        [
            f"--source={checkout / 'alertmanager'}",
            f"--secrets={tmp_path / 'secrets'}",
            f"--out={tmp_path / 'out'}",
            "--image=prom/alertmanager:v0.34.1",
            "--inbox=loop-inbox.perf.svc",
            *more,
        ]
    )


def test_without_secrets_every_channel_goes_to_the_inbox(checkout: Path, tmp_path: Path) -> None:
    """At its address in the cluster, with the event recorder that this Alertmanager has."""
    assert _run(checkout, tmp_path) == ExitCode.OK
    text = (tmp_path / "out" / "alertmanager.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert "http://inbox" not in text
    assert config["global"]["smtp_smarthost"] == "loop-inbox.perf.svc:19125"
    assert config["event_recorder"]["webhook_outputs"][0]["url"] == "http://loop-inbox.perf.svc:19130/events"


def test_links_lead_to_where_people_reach_grafana(checkout: Path, tmp_path: Path) -> None:
    """With scheme and path; the inbox is where `kubectl port-forward` puts it."""
    assert _run(checkout, tmp_path, "--grafana.url=https://grafana.example.org/sub/") == ExitCode.OK
    links = (tmp_path / "out" / "templates" / "links.tmpl").read_text(encoding="utf-8")
    assert '"perfloop.grafana" }}https://grafana.example.org/sub{{ end }}' in links
    assert "http://127.0.0.1:19130{{ end }}" in links


@pytest.mark.parametrize("url", ["grafana.example.org", "ftp://grafana", "https://"])
def test_an_address_that_is_none_is_refused(
    checkout: Path, tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and nothing is written."""
    assert _run(checkout, tmp_path, f"--grafana.url={url}") == ExitCode.USAGE
    assert f"--grafana.url: '{url}' is no address" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_secret_that_cannot_be_right_is_named_without_its_value(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pod does not start, and its log says why."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "pagerduty_routing_key").write_text("too-short", encoding="utf-8")
    assert _run(checkout, tmp_path) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert "secrets/pagerduty_routing_key holds 9 characters" in error
    assert "too-short" not in error
