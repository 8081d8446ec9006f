from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perfloop_base import redaction
from perfloop_base.redaction import REDACTED, is_secret_name, redact, redact_mapping, redact_url, register

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "m4rked-S3cret"  # of no well-known form: only its surroundings give it away


@pytest.fixture(autouse=True)
def _nothing_registered() -> Iterator[None]:
    before = redaction._registered
    redaction._registered = ()
    yield
    redaction._registered = before


URLS = [
    "http://admin:{}@127.0.0.1:9090/api/v1/query",
    "https://{}@host/",
    "https://{}:@host/",
    "https://{}:x-oauth-basic@host/",
    "redis://:{}@localhost:6379/0",
    "postgresql+psycopg://perfloop:{}@/name?host=/run/postgresql",
    "amqp://user:pa@{}@host:5672",
    "http://user:pa/{}@host:9090/path",
    "http://user:12/{}@host:9090/path",
    "http://user:pa#{}@host/path",
    "http://user:pa?{}@host/path",
    "http://user:pa@/{}@host/path",
    r"http:\/\/user:{}@host",
    "http://here/?next=http%3A%2F%2Fuser%3A{}%40host%2F",
    "http://one/ and then http://user:{}@two/",
    "http://host/p?api_key={}&step=15s",
    "http://host/p?step=15s&access_token={}#here",
    "http://host/p?key={}",
    "http://host/p?sig={}&amp;x=1",
    "http://host/p?x=1&amp;sig={}",
    "https://hooks.example.com/services/T00000000/B00000000/{}",
    "jdbc:postgresql://host/name?user=fred&password={}",
    "user:{}@host is no URL",
    "nonnumeric port: '{}'",
    "the API key: {}",
    "its access token: {}",
    "Private Key={}",
    "Port could not be cast to integer value as '{}'",
]
TEXTS = [
    "Authorization: Bearer {}",
    "authorization: Basic {} and more",
    "Proxy-Authorization: Negotiate a {}",
    "Cookie: a=b; session={}; c=d",
    "Set-Cookie: {}",
    "X-Api-Key: {}",
    "x-auth-token={}",
    '{{"headers": {{"Authorization": "Bearer {}"}}}}',
    '{{"headers": {{"X-Api-Key": ["{}"]}}}}',
    "{{'password': '{}'}}",
    "(b'authorization', b'Bearer {}')",
    "[('Cookie', 'a={}')]",
    "curl -H 'X-Api-Key: a {} b' http://host",
    'curl -H "Authorization: Bearer a {} b" http://host',
    r'{{"body": "{{\"password\": \"{}\"}}"}}',
    'password="a \\" {} b"',
    "password = {}",
    "password := `{}`",
    "dbPassword: {}",
    "PGPASSWORD={}",
    "GF_SECURITY_ADMIN_PASSWORD={} grafana",
    "AWS_SECRET_ACCESS_KEY={}",
    "Settings(token='{}', port=1)",
    "client_secret={}, user=bob",
    "Server=host;Password={};User=bob",
    "--store.password {}",
    "--web.token={}",
    "auth=('admin', '{}')",
    "<password>{}</password>",
    'alert{{api_key="{}",job="x"}}',
    "smtp_auth_password: {}",
    "routing_key: {}",
    "Bearer {}",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n{}",
]


@pytest.mark.parametrize("text", URLS + TEXTS)
def test_where_secrets_stand(text: str):
    """A value in a place for secrets is not shown, and showing it twice changes nothing."""
    once = redact(text.format(SECRET.replace("-", "") if "services" in text else SECRET))
    assert "S3cret" not in once
    assert REDACTED in once
    assert once == redact(once)


@pytest.mark.parametrize(
    "text",
    [
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "a1B2" * 5,
        "xoxb-123456789012-abcdefABCDEF",
        "sk-proj-" + "a1B2" * 8,
        "sk_live_" + "a1B2" * 6,
        "AKIA" + "ABCD" * 4,
        "AIza" + "a1B2C" * 7,
        "glsa_" + "a1B2" * 8,
        "hf_" + "aBcD" * 8,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "$2b$12$" + "a1B2./" * 8 + "a1B2x",
        "Basic YWRtaW46aHVudGVyMg==",
    ],
)
def test_tokens_of_a_well_known_form(text: str):
    """A token, a hash or credentials that are known by their form are not shown anywhere."""
    assert redact(f"the value is {text}, it was refused") == f"the value is {_keep(text)}{REDACTED}, it was refused"


def _keep(text: str) -> str:
    return "Basic " if text.startswith("Basic") else ""


@pytest.mark.parametrize(
    "text",
    [
        "listening address=127.0.0.1:9090",
        "http://127.0.0.1:9090/api/v1/query?query=up&time=1",
        "http://[::1]:9090/graph and postgresql:///name",
        "time_to_first_token: 0.3 s, max_tokens=5, tokens=7, output_token=3, time_per_output_token_seconds=0.1",
        "the key 'x' is defined twice: key=5, code=3, author: Ann",
        "ghcr.io/prometheus/prometheus:v3.5.0@sha256:" + "0a" * 32,
        "the password: the file is empty; password_file=secrets/grafana, token_url: http://x, secrets/README.md",
        "basic authentication is needed; a bearer token is missing; basic_auth: {username: x}",
        "instance:node_cpu:rate5m@1609746000",
        "port: '9090', port: 9090, the port: taken",
        "time to first token: 0.3 s, time per output token = 12 ms, cost per token: 0.002",
        "mail to:alice@example.com, alice@example.com",
        "no password: none, token=null, auth: basic, 'secret': None, token: ''",
        'up{job="node",instance="127.0.0.1:9100"} 1',
    ],
)
def test_other_text_stays(text: str):
    """Addresses, metrics and sentences about secrets are shown as they are."""
    assert text == redact(text)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "adminPassword",
        "PGPASSWORD",
        "api_key",
        "apiKey",
        "X-Api-Key",
        "x-goog-api-key",
        "APIKey",
        "api.key",
        "access_token",
        "X-Auth-Token",
        "authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "client_secret",
        "AWS_SECRET_ACCESS_KEY",
        "routing_key",
        "service_key",
        "password_hash",
        "token2",
        "DB_PASS",
        "session_id",
        "webhook_url",
        "--store.password",
        "private-key",
        "jwt",
    ],
)
def test_names_of_secrets(name: str):
    """A name that ends as secrets' names do is one, in every way of writing names."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "password_file",
        "token-file",
        "secrets_dir",
        "tokens",
        "max_tokens",
        "first_token",
        "time_to_first_token",
        "output_token",
        "key",
        "url",
        "path",
        "author",
        "pass",
        "bypass",
        "monkey",
        "keyboard",
        "service",
        "user",
        "status",
        "tokenizer",
        "secretary",
    ],
)
def test_names_of_other_things(name: str):
    """What points to a secret, counts tokens or only looks similar is none."""
    assert not is_secret_name(name)


@given(st.text(min_size=6), st.text(), st.text())
def test_a_registered_value_is_never_shown(value: str, before: str, after: str):
    """Wherever a registered value stands, quoted in any of the usual ways, it is gone."""
    value = value.strip()
    assume(len(value) >= 6 and value not in REDACTED)
    assume(value not in before + after + REDACTED + before)
    redaction._registered = ()
    register(value)
    for spelled in (value, quote(value, safe="", errors="replace"), json.dumps(value)[1:-1], repr(value)[1:-1]):
        if len(spelled) >= 6:
            assert spelled not in redact(f"{before} {spelled} {after}").replace(REDACTED, "\0")


@pytest.mark.parametrize("user", ["u", "ab", "abc"])
def test_a_registered_value_is_not_shown_in_base64(user: str):
    """An Authorization header spells a password in Base64; wherever it begins there, its characters are gone."""
    register(SECRET)
    credentials = base64.b64encode(f"{user}:{SECRET}:x".encode()).decode()
    assert base64.b64encode(SECRET.encode()).decode()[4:12] not in redact(f"sent {credentials}")
    assert REDACTED in redact(f"sent {credentials}")


def test_short_values_are_not_registered():
    """A value of five characters would hide too much else; white space around a value is the file's, not its own."""
    register("admin")
    register(b"  trimmed-value\n")
    assert redact("admin trimmed-value") == f"admin {REDACTED}"


def test_a_longer_secret_goes_first():
    """A secret that begins with another one leaves no rest."""
    register("secretive")
    register("secretive-and-longer")
    assert redact("secretive-and-longer") == REDACTED


@given(
    st.sampled_from(("http", "https", "postgresql+psycopg", "redis")),
    st.text(
        st.characters(codec="utf-8", exclude_characters="@:/?#[]\\\"'`<> ", exclude_categories=("C", "Z")), max_size=9
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\"'`<> \\", exclude_categories=("C", "Z")), min_size=6),
)
def test_the_password_of_a_url_is_never_shown(scheme: str, user: str, password: str):
    """Whatever a password holds, also what should have been quoted, `redact_url` and `redact` take it out."""
    assume("://" not in password and password not in scheme and not password.partition("/")[0].isdecimal())
    assume(password not in f"{REDACTED}@example.com:9090/path")
    for shown in (redact, redact_url):
        assert password not in shown(f"{scheme}://{user}:{password}@example.com:9090/path")
        assert password not in shown(f"cannot reach {scheme}://{user}:{quote(password, safe='')}@example.com/: refused")


@given(
    st.text(st.characters()) | st.lists(st.sampled_from([*URLS, *TEXTS, "@", ":", "'", '"', "\\", "\n"])).map("".join)
)
def test_any_text_can_be_redacted(text: str):
    """No text is too strange, lone surrogates among them, and the second time changes nothing."""
    once = redact(text)
    assert once == redact(once)
    assert isinstance(redact_url(text), str)


UNITS = [
    "a",
    ":",
    "@",
    "/",
    "\\",
    '"',
    "'",
    "`",
    "<",
    "-",
    " ",
    "=",
    ".",
    "://",
    "http://a:b",
    "password=",
    'password="',
    "password='",
    'password=\\\\"',
    "cookie: ",
    "cookie: the ",
    "cookie: {",
    "token={",
    "token=(",
    "token=('a',",
    "'cookie: ",
    "<password>",
    "<password>a",
    "<cookie>a",
    "bearer ",
    "basic a",
    "eyJaaaaaaaa.",
    "-----BEGIN PRIVATE KEY-----",
    "a:b@",
    "a:b",
    "%3A%2F%2F",
    "%3A%2F%2Fa%40",
    "?key=",
    "&key=a",
    "--token ",
    "('token', ",
    "/services/T00/B00/",
    "$2b$12$",
    "authorization",
    "x-api-key: [",
    "glsa_",
    "password:=",
    "\n",
    "\0",
    "\ud800",
    "token\\\\\\\\",
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_line_costs_linear_time(unit: str):
    """A line made to be slow takes about four times what a quarter of it takes, not sixteen times."""

    def measure(characters: int) -> float:
        text = unit * (characters // len(unit))
        before = time.process_time()
        redact(text)
        return time.process_time() - before

    assert measure(400_000) < 8 * measure(100_000) + 0.25


def test_mappings():
    """The values of secret names go at every depth, other texts are redacted, and the rest keeps its type."""
    assert redact_mapping(
        {
            "url": f"http://u:{SECRET}@host",
            "headers": {"X-Api-Key": SECRET, "Accept": "json", "Cookie": [SECRET, SECRET]},
            "credentials": {"username": "bob", "any": {"depth": SECRET}},
            "token": b"bytes",
            "list": [{"password": 12345}, 5, None, True],
            "empty": {"password": "", "secret": None},
        }
    ) == {
        "url": f"http://{REDACTED}@host",
        "headers": {"X-Api-Key": REDACTED, "Accept": "json", "Cookie": [REDACTED, REDACTED]},
        "credentials": {"username": REDACTED, "any": {"depth": REDACTED}},
        "token": REDACTED,
        "list": [{"password": REDACTED}, 5, None, True],
        "empty": {"password": "", "secret": None},
    }


def test_the_working_directory_is_no_secret():
    """PWD is what shells call it."""
    redaction.register_environment({"PWD": "/srv/program"})
    assert redact("/srv/program/log") == "/srv/program/log"


def test_the_environment():
    """Variables with a secret's name are registered, and the passwords in the URLs of the others."""
    redaction.register_environment(
        {"MY_API_KEY": "value-one", "DATABASE_URL": "postgresql://u:value%2Dtwo@host/db", "SHELL": "/bin/bash"}
    )
    assert redact("value-one value-two value%2Dtwo /bin/bash") == f"{REDACTED} {REDACTED} {REDACTED} /bin/bash"


@pytest.mark.parametrize(
    ("url", "without", "pair"),
    [
        ("http://user:password@host:9090/p?q=1", "http://host:9090/p?q=1", b"user:password"),
        ("https://user@host", "https://host", b"user:"),
        ("http://us%40er:p%3Aa%2Fss%20w@[::1]:9", "http://[::1]:9", b"us@er:p:a/ss w"),
        ("http://user:pa/ss@localhost:9090", "http://localhost:9090", b"user:pa/ss"),
        ("http://:token1@host", "http://host", b":token1"),
        ("http://\u00fcser:p\u00e4ss@host", "http://host", "\u00fcser:p\u00e4ss".encode()),
        ("http://@host", "http://host", None),
        ("http://host/a@b", "http://host/a@b", None),
        ("host:9090", "host:9090", None),
        ("", "", None),
    ],
)
def test_a_user_in_a_url_becomes_basic_authentication(url: str, without: str, pair: bytes | None):
    """Decoded as RFC 3986 says, and encoded as RFC 7617 says; the URL that is opened has none of it."""
    header = f"Basic {base64.b64encode(pair).decode()}" if pair else None
    assert redaction.split_user(url) == (without, header)
    if header:
        assert header.partition(" ")[2] not in redact(f"sent {header}")
