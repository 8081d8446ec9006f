"""Where pages and boards lead: addresses of other programs, given by flags and exported as a metric."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from perfloop_analyzer.cli import build_parser
from perfloop_analyzer.config import ReportConfig, WebConfig
from perfloop_analyzer.links import by_program, parse_link
from perfloop_analyzer.reporters.metrics import LinkCollector
from perfloop_base.errors import ConfigError
from perfloop_base.flags import read_flags


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("prometheus=http://127.0.0.1:9090", ("prometheus", "http://127.0.0.1:9090")),
        ("grafana=https://watch.example.org/grafana/", ("grafana", "https://watch.example.org/grafana")),
        ("inbox=http://[::1]:19130", ("inbox", "http://[::1]:19130")),
    ],
)
def test_a_link_is_a_program_and_its_address(text: str, link: tuple[str, str]) -> None:
    """Without the slash at its end, so that a path can follow."""
    assert parse_link(text) == link


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("http://127.0.0.1:9090", "write PROGRAM=URL"),
        ("jaeger=http://127.0.0.1:9090", "PROGRAM one of alertmanager"),
        ("grafana=", "write http:// or https://"),
        ("grafana=javascript:alert(1)", "write http:// or https://"),
        ("grafana=ftp://127.0.0.1", "write http:// or https://"),
        ('grafana=http://a/"><script>', "in ASCII"),
        ("grafana=http://a/${__user.login}", "in ASCII"),
        ("grafana=http://a b", "in ASCII"),
        ("grafana=http://a/?x=1", "in ASCII"),
        ("grafana=http://a/#top", "in ASCII"),
        ("grafana=http://:3000", "host or port"),
        ("grafana=http://a:70000", "host or port"),
        ("grafana=http://[::1", "host or port"),
        (f"grafana=http://{'a' * 600}", "in ASCII"),
    ],
)
def test_a_wrong_link_is_refused_with_the_rule(text: str, rule: str) -> None:
    """Nothing but an address of a page can become a link."""
    with pytest.raises(ValueError, match=rule):
        parse_link(text)


@pytest.mark.parametrize("user", ["admin:sesame-93", "sesame-93"])
def test_a_link_with_credentials_is_refused_and_not_shown(user: str) -> None:
    """Whoever sees the page could read them."""
    with pytest.raises(ValueError, match="a user or a password") as refused:
        parse_link(f"grafana=http://{user}@127.0.0.1:3000")
    assert "sesame-93" not in str(refused.value)


def test_the_flags_of_links_become_a_metric() -> None:
    """One series for each program; every wrong flag is reported at once."""
    arguments = ["run", "--link", "prometheus=http://a:1/", "--link=grafana=http://b:2", "--link=grafana=http://c:3"]
    links = by_program(read_flags(WebConfig, build_parser().parse_args(arguments)).links)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LinkCollector(links))
    text = generate_latest(registry).decode()
    assert 'perfloop_link_info{program="prometheus",url="http://a:1"} 1.0' in text
    assert 'perfloop_link_info{program="grafana",url="http://c:3"} 1.0' in text
    assert text.count("perfloop_link_info{") == 2
    assert read_flags(ReportConfig, build_parser().parse_args(["report", "--html=x", "--link=demo=http://d"])).links
    with pytest.raises(ConfigError) as refused:
        read_flags(WebConfig, build_parser().parse_args(["run", "--link=x", "--link=grafana=y"]))
    assert len(refused.value.problems) == 2
