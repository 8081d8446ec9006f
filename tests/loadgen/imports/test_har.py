"""Browsers' recordings become scenarios that send what was recorded."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfloop_base.errors import ConfigError
from perfloop_loadgen.scenario.body import body_of
from perfloop_loadgen.scenario.template import fill, fill_path
from tests.loadgen.imports.conftest import Imported

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def _entry(url: str = "http://a.example/x", began: str = "", took: float = 0, **request: Any) -> dict[str, Any]:
    asked = {"method": "GET", "url": url, "headers": []} | request
    return {"startedDateTime": began, "time": took, "request": asked, "response": {"status": 200}}


def _har(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "entries": list(entries)}}


def _headers(**headers: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]


def test_a_recording_keeps_order_pauses_and_no_secret(imported: Imported):
    """Two requests with a second between them; another host, cookies and connection headers are left out."""
    headers = [{"name": n, "value": v} for n, v in (("Cookie", "s=1"), (":path", "/"), ("Host", "a"), ("X-A", "b"))]
    entries = [
        _entry("https://a.example/login?x=1", "2026-01-01T00:00:00.000+00:00", 500, headers=headers),
        _entry("https://ads.example/x", "2026-01-01T00:00:00.600+00:00", 1),
        _entry("https://a.example/cart", "2026-01-01T00:00:01.500Z", 10, method="POST", postData={"text": '{"id": 3}'}),
    ]
    config = imported("har", _har(*entries), "shop.har")
    login, cart = config.scenarios[0].steps
    assert config.base_url == "https://a.example"
    assert (login.path, login.think_time_seconds) == ("/login?x=1", 1.0)
    assert login.headers == {"Cookie": "${env:COOKIE}", "X-A": "b"}
    assert (cart.method, cart.data) == ("POST", {"id": 3})
    assert config.requested == []
    assert "Left out 1 times: a request to https://ads.example" in imported.notes
    assert "s=1" not in imported.text


BODIES = [
    (JSON, '{"a":1,"b":[true,null,"ü"]}'),
    (JSON, '{"a": 1.10, "id": 12345678901234567890123}'),
    (JSON, '{"id": 12345678901234567890123, "x": 1.5}'),
    (JSON, '{"a": 1, "a": 2}'),
    (JSON, '{"q": "hello ${name} ${env:X} $${y}"}'),
    (JSON, '"text"'),
    (JSON, "null"),
    (JSON, "[1e22, 1E5, -0.0]"),
    (JSON, '{"a": NaN}'),
    (JSON, "not JSON"),
    ("application/vnd.api+json; charset=utf-8", '{"a":1}'),
    ("application/graphql", "query { a(b: ${x}) }"),
    ("text/plain", "00123"),
    ("text/plain", "true"),
    ("text/plain;charset=UTF-8", '{"a":1}'),
    ("text/plain", "line one\r\nline two\u2028\n\n"),
    ("application/xml", "<a>${b}</a>"),
    (FORM, "user=a&note=b+c%26d&user=e"),
    (FORM, "a=1&b=%7e"),
    (FORM, "a=1&b=2&a=3"),
    (FORM, "flag&a="),
    (FORM, "q=${x}"),
    ("multipart/form-data; boundary=x", '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
    ("", "plain"),
    ("", '{"a":[1,2]}'),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_a_body_is_sent_as_it_was_recorded(imported: Imported, kind: str, body: str):
    """The bytes and the content type, up to spaces between JSON's values; what looks like a placeholder is none."""
    entry = _entry(method="POST", postData={"mimeType": kind, "text": body})
    step = imported("har", _har(entry)).scenarios[0].steps[0]
    filled = step.model_copy(update={key: fill(getattr(step, key), {}) for key in ("data", "form", "headers")})
    sent, content_type = body_of(filled)
    if isinstance(step.data, dict | list):
        assert json.loads(sent) == json.loads(body)
        assert sent.replace(b" ", b"") == body.encode().replace(b" ", b"")
    else:
        assert sent.decode() == body
    sent_type = filled.headers.get("Content-Type", content_type) or ""
    assert sent_type.partition(";")[0] == (kind or sent_type).partition(";")[0]


def test_forms_of_parameters(imported: Imported):
    """Where the recording has the fields alone, and an upload whose file it does not have."""
    fields = [{"name": "user", "value": "a b"}, {"name": "tag", "value": "1"}, {"name": "tag", "value": "${2}"}]
    form = _entry(method="POST", postData={"mimeType": FORM, "params": fields})
    upload = _entry(
        method="POST",
        postData={
            "mimeType": "multipart/form-data; boundary=----x",
            "params": [{"name": "n", "value": "v"}, {"name": "f", "fileName": "a.png", "contentType": "image/png"}],
        },
    )
    first, second = imported("har", _har(form, upload)).scenarios[0].steps
    assert body_of(first) == (b"user=a+b&tag=1&tag=%24%7B2%7D", FORM)
    assert second.multipart["n"][0].text == "v"
    assert (second.multipart["f"][0].filename, second.multipart["f"][0].content_type) == ("a.png", "image/png")
    assert "no content of files" in imported.notes


def test_secrets_of_a_recording_are_placeholders(imported: Imported):
    """Headers, queries, forms, JSON as values and as text: none is written down, each is named once."""
    secret = "mArKeDs3cr3t"
    entries = [
        _entry(
            f"http://u:{secret}@a.example/x?api_key={secret}&page=2",
            headers=_headers(Authorization=f"Bearer {secret}", X_Api_Key=secret),
        ),
        _entry(
            "http://a.example/y", headers=_headers(Authorization=f"Basic {secret}", Referer=f"http://a/?token={secret}")
        ),
        _entry(method="POST", postData={"mimeType": FORM, "text": f"user=a&password={secret}"}),
        _entry(method="POST", postData={"mimeType": FORM, "text": f"password={secret}&user=a%7e&b=a"}),
        _entry(method="POST", postData={"mimeType": JSON, "text": f'{{"user":"a","password":"{secret}"}}'}),
        _entry(method="POST", postData={"mimeType": JSON, "text": f'{{"n": 1.10, "token" : "{secret}"}}'}),
    ]
    steps = imported("har", _har(*entries)).scenarios[0].steps
    assert secret not in imported.text
    assert steps[0].path == "/x?api_key=${env:API_KEY}&page=2"
    assert steps[1].headers["Authorization"] == "Basic ${env:AUTHORIZATION}"
    assert steps[2].form == {"user": "a", "password": "${env:PASSWORD}"}
    assert steps[3].data == "password=${env:PASSWORD}&user=a%7e&b=a"
    assert steps[4].data == {"user": "a", "password": "${env:PASSWORD}"}
    assert steps[5].data == '{"n": 1.10, "token" : "${env:TOKEN}"}'
    assert imported.notes.count("variable PASSWORD") == 1


def test_a_secret_that_comes_again_is_the_same_variable(imported: Imported):
    """Under a name that is no secret's, within a longer text; a short one is a part of too many words."""
    entries = [
        _entry(headers=_headers(Authorization="Bearer 0123456789abcdef")),
        _entry(method="POST", postData={"mimeType": JSON, "text": '{"a":"x 0123456789abcdef y","password":"car"}'}),
        _entry(headers=_headers(X_Other="scar 0123456789abcdef")),
    ]
    steps = imported("har", _har(*entries)).scenarios[0].steps
    assert steps[1].data == {"a": "x ${env:AUTHORIZATION} y", "password": "${env:PASSWORD}"}
    assert steps[2].headers == {"X-Other": "scar ${env:AUTHORIZATION}"}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://a.example/search?q=a b", "/search?q=a%20b"),
        ("http://a.example", "/"),
        ("http://a.example/a#part", "/a"),
        ("http://a.example/ü?ö=日", "/%C3%BC?%C3%B6=%E6%97%A5"),
        ("http://a.example/a%20b?c=%2F", "/a%20b?c=%2F"),
        ("http://a.example/${x}?y=${z}", "/$${x}?y=$${z}"),
        ("http://a.example/a?b=c?d=e&&f", "/a?b=c?d=e&&f"),
    ],
)
def test_urls_of_a_recording(imported: Imported, url: str, path: str):
    """What a request line can hold, sent as it was recorded."""
    step = imported("har", _har(_entry(url))).scenarios[0].steps[0]
    assert step.path == path
    assert fill_path(step.path, {}) == path.replace("$${", "${")


def test_what_is_no_request_over_http_is_left_out(imported: Imported):
    """Data URLs, extensions, WebSockets, unknown methods, broken URLs: counted, and the rest is a test."""
    broken: list[Any] = [
        None,
        {},
        {"request": {"url": 3}},
        _entry("http://[::1"),
        _entry("http://a b/"),
        _entry("http://:1"),
    ]
    others = [
        _entry("data:image/png;base64,AA"),
        _entry("chrome-extension://a/x.js"),
        _entry("wss://a/"),
        _entry("blob:x"),
    ]
    socket = _entry("http://a.example/ws")
    socket["response"]["status"] = 101
    config = imported("har", _har(*broken, *others, socket, _entry(method="PROPFIND"), _entry()))
    assert [step.path for step in config.scenarios[0].steps] == ["/x"]
    assert "Left out 1 times: an entry of the scheme data:" in imported.notes
    assert "Left out 1 times: an entry of the scheme chrome-extension:" in imported.notes


@pytest.mark.parametrize("entries", [[], [_entry("data:,x")], [None]])
def test_a_recording_without_a_request(imported: Imported, entries: list[Any]):
    """One sentence, whatever else is in it."""
    with pytest.raises(ConfigError, match=r"d\.json: holds no request over HTTP"):
        imported("har", _har(*entries))


@pytest.mark.parametrize("document", [{}, [], {"log": {}}, {"log": {"entries": 3}}, {"openapi": "3.0.0"}])
def test_what_is_no_recording(imported: Imported, document: Any):
    """One sentence."""
    with pytest.raises(ConfigError, match="is not a HAR recording"):
        imported("har", document)


def test_a_page_that_was_known_already(imported: Imported):
    """A recorded 304 may be a 200 of a server that has a newer version."""
    entry = _entry()
    entry["response"]["status"] = 304
    assert imported("har", _har(entry)).scenarios[0].steps[0].expected_status == [200, 304]


def test_a_recording_of_megabytes_is_read_at_once(imported: Imported):
    """JSON is read as JSON: the bodies of the answers, which nobody needs, cost next to nothing."""
    entries = []
    for number in range(300):
        entry = _entry(f"http://a.example/{number}", headers=_headers(Accept="*/*", Accept_Language="de"))
        entry["response"]["content"] = {"text": "x" * 20_000, "size": 20_000}
        entries.append(entry)
    began = time.monotonic()
    assert len(imported("har", _har(*entries)).scenarios[0].steps) == 300
    assert time.monotonic() - began < 10


def test_cookies_that_the_service_sets_are_noted(imported: Imported):
    """Those of a recording are one user's: the test may keep each user's own."""
    entry = _entry()
    entry["response"]["headers"] = [{"name": "set-cookie", "value": "s=1"}]
    imported("har", _har(entry))
    assert "with `cookies: true` each user keeps them" in imported.notes
    imported("har", _har(_entry()))
    assert "cookies: true" not in imported.notes


SAME_SERVICE = ["https://a.example/1", "https://A.EXAMPLE:443/2", "HTTPS://a.example/3"]


def test_one_service_has_one_address(imported: Imported):
    """Whether its port is written or not, in any case."""
    assert len(imported("har", _har(*map(_entry, SAME_SERVICE))).scenarios[0].steps) == 3


def test_a_recording_that_begins_with_a_redirect(imported: Imported):
    """To TLS and to another name of the site, where all else goes; another port is another service."""
    urls = ["http://shop.example/", "https://www.shop.example/", "https://cdn.example/a", "https://cdn.example/b"]
    urls += ["https://www.shop.example/x", "https://shop.example:8443/", "https://shop.example:8443/2"]
    config = imported("har", _har(*map(_entry, urls)))
    assert config.base_url == "https://www.shop.example"
    assert [step.path for step in config.scenarios[0].steps] == ["/", "/x"]
    assert "a request to http://shop.example" in imported.notes


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([JSON, FORM, "text/plain", ""]),
    st.one_of(
        st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("${a}")),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=8,
        ).map(json.dumps),
        st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4).map(
            lambda pairs: urlencode(pairs, errors="replace")
        ),
    ),
)
def test_any_body_is_sent_as_it_was_recorded(tmp_path_factory: pytest.TempPathFactory, kind: str, body: str):
    """Through the file and back: JSON means the same, anything else is the same text."""
    imported = Imported(tmp_path_factory.mktemp("f"))
    step = imported("har", _har(_entry(method="POST", postData={"mimeType": kind, "text": body}))).scenarios[0].steps[0]
    filled = step.model_copy(update={key: fill(getattr(step, key), {}) for key in ("data", "form", "headers")})
    sent, _ = body_of(filled)
    if isinstance(step.data, dict | list):
        assert repr(json.loads(sent)) == repr(json.loads(body))
    else:
        assert sent.decode() == body
