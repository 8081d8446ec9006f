"""One URL in place of a file of tests."""

from __future__ import annotations

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.from_url import OneRequest, config_of_url, is_url


@pytest.mark.parametrize(
    ("url", "base_url", "path", "name"),
    [
        ("http://localhost:8000", "http://localhost:8000", "/", "localhost:8000"),
        ("http://localhost:8000/health", "http://localhost:8000", "/health", "localhost:8000/health"),
        ("https://shop.example/a/b?q=1&r=2#top", "https://shop.example", "/a/b?q=1&r=2", "shop.example/a/b"),
        ("http://[::1]:8000/x", "http://[::1]:8000", "/x", "::1:8000/x"),
        ("HTTP://localhost/", "http://localhost", "/", "localhost/"),
    ],
)
def test_the_parts_of_the_address(url: str, base_url: str, path: str, name: str):
    """Path and query are requested, and the name has no query, which would be a label of its own for each value."""
    assert is_url(url)
    config = config_of_url(url, OneRequest())
    assert (config.base_url, config.endpoints[0].path, config.name) == (base_url, path, name)
    assert (config.duration_seconds, config.concurrent_users) == (60, 10)


def test_method_headers_and_body():
    """A JSON body has its content type, unless a header names another."""
    made = config_of_url("http://h/p", OneRequest("POST", ("X-A: 1", "accept:text/html"), '{"a": 1}')).endpoints[0]
    assert made.method == "POST"
    assert made.headers == {"X-A": "1", "accept": "text/html", "Content-Type": "application/json"}
    assert made.data == '{"a": 1}'
    other = config_of_url("http://h/p", OneRequest("POST", ("content-type: text/x",), "[1]")).endpoints[0]
    assert other.headers == {"content-type": "text/x"}
    assert config_of_url("http://h/p", OneRequest("POST", (), "plain")).endpoints[0].headers == {}


def test_a_file_is_no_url():
    """Also one whose name begins alike."""
    assert not is_url("http.yml")
    assert not is_url("./http://x")


@pytest.mark.parametrize(
    ("url", "request_", "problem"),
    [
        ("http://", OneRequest(), "must name a host"),
        ("http://h:99999/", OneRequest(), "is not a URL"),
        ("http://h/", OneRequest(headers=("no colon",)), "must read like 'Accept: text/html'"),
        ("http://h/", OneRequest(headers=("A: b\r\nC: d",)), "must not hold line ends"),
    ],
)
def test_what_is_wrong_is_said(url: str, request_: OneRequest, problem: str):
    """Before anything runs."""
    with pytest.raises(ConfigError, match=problem):
        config_of_url(url, request_)


def test_a_password_is_not_in_the_name_or_a_message():
    """The name is a label of every series."""
    config = config_of_url("http://me:s3cret-pass@localhost/x", OneRequest())
    assert config.name == "localhost/x"
    with pytest.raises(ConfigError) as caught:
        config_of_url("http://me:s3cret-pass@localhost:99999/x", OneRequest())
    assert "s3cret" not in str(caught.value)
