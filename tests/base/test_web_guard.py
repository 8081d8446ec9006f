"""The guard around an application: what reaches it, and what every response has."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

import bcrypt
import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from perfloop_base.web.asgi import Guard
from perfloop_base.web.gate import Gate
from perfloop_base.web.headers import CLOSED_POLICY, POLICY, SECURITY, page_policy
from perfloop_base.web.origins import change_refusal
from perfloop_base.web.settings import Web

if TYPE_CHECKING:
    from pathlib import Path

JSON = {"content-type": "application/json"}


def build_app() -> FastAPI:
    """Return an application that counts its changes."""
    app = FastAPI()
    app.state.changes = 0

    @app.get("/read")
    def read() -> dict[str, str]:
        return {"text": "words"}

    @app.get("/page")
    def page() -> HTMLResponse:
        return HTMLResponse("<p>", headers={POLICY: "default-src 'self'"})

    @app.get("/failing")
    def fail() -> None:
        raise RuntimeError("a fault of the program")

    @app.api_route("/change", methods=["POST", "PUT"])
    @app.delete("/change")
    async def change(request: Request) -> dict[str, int]:
        await request.body()
        app.state.changes += 1
        return {"changes": app.state.changes}

    return app


@pytest.fixture
def app() -> FastAPI:
    """The application behind the guard."""
    return build_app()


def client(app: FastAPI, gate: Gate | None = None, **options: Any) -> httpx.AsyncClient:
    """Return a client of the guarded application."""
    transport = httpx.ASGITransport(Guard(app, gate or Gate(""), Web(**options)), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("path", ["/read", "/page", "/absent", "/failing", "/change", "/openapi.json"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_every_response_has_the_headers(app: FastAPI, path: str, method: str):
    """Also a 404, a 405 and a 500; a page's own policy stays."""
    async with client(app) as http:
        response = await http.request(method, path)
    for name, value in SECURITY:
        expected = "default-src 'self'" if (name, path) == (POLICY, "/page") and response.status_code == 200 else value
        assert response.headers[name] == expected


async def test_head_is_get_without_its_body(app: FastAPI):
    """The application sees GET; what removes the body is the server (test_web_serving.py)."""
    async with client(app) as http:
        got, head = await http.get("/read"), await http.head("/read")
    assert (head.status_code, head.headers["content-length"]) == (200, got.headers["content-length"])


async def test_a_wrong_method_names_every_right_one(app: FastAPI):
    """The methods of all routes of the path, HEAD beside GET."""
    async with client(app) as http:
        assert (await http.patch("/change", json={})).headers["allow"] == "DELETE, POST, PUT"
        assert (await http.delete("/read")).headers["allow"] == "GET, HEAD"


async def test_an_error_of_the_program_is_logged_once(app: FastAPI, caplog: pytest.LogCaptureFixture):
    """The client sees a 500 without words about the program."""
    with caplog.at_level(logging.INFO, "perfloop_base"):
        async with client(app) as http:
            response = await http.get("/failing")
    assert response.status_code == 500
    assert "fault of the program" not in response.text
    assert [record.message for record in caplog.records if record.name.startswith("perfloop")] == ["request failed"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
async def test_a_foreign_name_is_refused(app: FastAPI, host: str, method: str):
    """DNS rebinding ends in a 421 before the application sees anything."""
    async with client(app) as http:
        for path in ("/read", "/change", "/absent"):
            response = await http.request(method, path, headers={**JSON, "host": host})
            assert response.status_code == 421
    assert app.state.changes == 0


async def test_an_allowed_name_is_answered(app: FastAPI):
    """As --web.allowed-hosts names it."""
    async with client(app, allowed_hosts=("monitor.example.org",)) as http:
        assert (await http.get("/read", headers={"host": "monitor.example.org"})).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; charset=application/json",
        "TEXT/PLAIN",
        "text/json",
        "application/jsonp",
        "",
        None,
    ],
)
async def test_no_simple_request_changes_anything(app: FastAPI, method: str, kind: str | None):
    """What a page of another site can have sent without asking: forms, plain text, no type at all."""
    async with client(app) as http:
        headers = {} if kind is None else {"content-type": kind}
        response = await http.request(method, "/change", content=b'{"slow_queries": 1}', headers=headers)
    assert (response.status_code, app.state.changes) == (415, 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9090"},
        {"origin": "https://127.0.0.1:8000.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost:8000"},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_another_sites_page_changes_nothing(app: FastAPI, headers: dict[str, str], method: str):
    """Not even with JSON or with credentials: the browser says where the request comes from."""
    async with client(app) as http:
        for more in (JSON, {**JSON, "authorization": "Basic eDp5"}):
            response = await http.request(method, "/change", headers={**headers, **more})
            assert (response.status_code, app.state.changes) == (403, 0)


@pytest.mark.parametrize(
    ("method", "headers", "content"),
    [
        ("POST", JSON, b"{}"),
        ("PUT", {"content-type": "Application/JSON; charset=utf-8"}, b"{}"),
        ("POST", {"content-type": "application/vnd.api+json"}, b"{}"),
        ("POST", {"authorization": "Bearer x"}, b"text"),
        ("DELETE", {}, b""),
        ("POST", {**JSON, "origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, b"{}"),
        ("POST", {**JSON, "sec-fetch-site": "none"}, b"{}"),
    ],
)
async def test_a_deliberate_request_changes_something(
    app: FastAPI, method: str, headers: dict[str, str], content: bytes
):
    """JSON, an Authorization header, a DELETE without a body, the server's own page."""
    async with client(app) as http:
        response = await http.request(method, "/change", headers=headers, content=content)
    assert (response.status_code, app.state.changes) == (200, 1)


async def test_an_application_that_authenticates_changes_refuses_them_itself(app: FastAPI):
    """It says 401 where the guard would say 415; pages of other sites are refused all the same."""
    async with client(app, authenticates=True) as http:
        assert (await http.post("/change", content=b"x")).status_code == 200
        assert (await http.post("/change", headers={"origin": "http://evil.example"})).status_code == 403


def test_a_page_behind_a_proxy_is_no_other_site():
    """Without a port in both, and under an allowed name whatever Host the proxy sends."""
    headers = {**JSON, "host": "monitor.example.org", "origin": "https://monitor.example.org"}
    assert change_refusal("POST", headers) is None
    assert change_refusal("POST", {**headers, "host": "10.0.0.1:19110"}) is not None
    assert change_refusal("POST", {**headers, "host": "10.0.0.1:19110"}, ("monitor.example.org",)) is None


async def test_two_lengths_are_refused(app: FastAPI):
    """The way into request smuggling."""
    async with client(app) as http:
        headers = {**JSON, "transfer-encoding": "chunked", "content-length": "4"}
        response = await http.post("/change", headers=headers, content=b"{}  ")
    assert (response.status_code, app.state.changes) == (400, 0)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate with one user, `user` with `secret`."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{user: {hashed}}}\n")
    return Gate(str(tmp_path / "web.yml"))


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic é", "Basic ====", _basic("user:wrong"), _basic("other:secret"), "Bearer x"]
)
async def test_a_user_is_needed_on_every_path(app: FastAPI, gate: Gate, authorization: str):
    """Also where nothing is; whatever stands in the header is a 401, never an error."""
    async with client(app, gate) as http:
        for path in ("/read", "/absent", "/change"):
            response = await http.post(path, headers={**JSON, "authorization": authorization.encode("latin-1")})
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Basic")
    assert app.state.changes == 0


async def test_a_user_or_the_applications_token_is_let_through(app: FastAPI, gate: Gate):
    """One Authorization header has no space for both."""
    async with client(app, gate, token="token") as http:
        assert (await http.get("/read", headers={"authorization": _basic("user:secret")})).status_code == 200
        assert (await http.get("/read", headers={"authorization": "Bearer token"})).status_code == 200
        assert (await http.get("/read", headers={"authorization": "Bearer toke"})).status_code == 401


async def test_wrong_passwords_do_not_keep_a_known_user_out(app: FastAPI, gate: Gate):
    """Guesses wait for each other, not the user who has been checked; and they push nobody out of the cache."""
    async with client(app, gate) as http:
        good = {"authorization": _basic("user:secret")}
        assert (await http.get("/read", headers=good)).status_code == 200
        guesses = [http.get("/read", headers={"authorization": _basic(f"user:{n}")}) for n in range(150)]
        guessing = asyncio.gather(*guesses)
        async with asyncio.timeout(1):
            assert (await http.get("/read", headers=good)).status_code == 200
        assert {response.status_code for response in await guessing} == {401}
        assert gate.is_quick(good["authorization"])


async def test_an_invalid_file_refuses_everything(app: FastAPI, gate: Gate, tmp_path: Path):
    """Until it is valid again; the users' part is never skipped."""
    good = {"authorization": _basic("user:secret")}
    text = (tmp_path / "web.yml").read_text()
    async with client(app, gate) as http:
        (tmp_path / "web.yml").write_text("basic_auth_users: {user: plain}\n")
        assert (await http.get("/read", headers=good)).status_code == 500
        (tmp_path / "web.yml").write_text(text + "rate_limit: {interval: 1h, burst: 1}\n")
        assert [(await http.get("/read", headers=good)).status_code for _ in range(2)] == [200, 429]


def test_a_pages_policy_has_the_hashes_of_its_scripts_and_styles():
    """And nothing else may run: no inline handler, no other source."""
    policy = page_policy("<style>a{}</style><script type=module>run()</script>", "connect-src 'self'")
    assert policy.startswith(CLOSED_POLICY)
    assert "script-src 'sha256-AvyuiL0SD1mVY3NNxR+V2uo+lhk6RMFrytWmRt6CrJQ='" in policy
    assert policy.endswith("connect-src 'self'")
    assert "unsafe" not in policy
