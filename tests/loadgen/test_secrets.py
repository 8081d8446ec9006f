"""A marked secret in every setting, header and address: no output, file, page or process list shows it."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest
import yaml

from perfloop_base.redaction import REDACTED
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.cli import main
from perfloop_loadgen.compare.obstacles import obstacles
from perfloop_loadgen.config.secrets import without_secrets
from perfloop_loadgen.errors import QueryError
from perfloop_loadgen.imports.found import Found
from perfloop_loadgen.imports.har import test_from_har as read_har
from perfloop_loadgen.prometheus_api import PrometheusApi
from perfloop_loadgen.reporters.files import RENDERERS
from tests.loadgen.conftest import build_document
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

# Each is looked for on its own, so that a leak is known by its place.
SECRETS = {
    name: f"mArKeD{name}s3cr3t"
    for name in (
        *("Url", "Query", "Bearer", "Header", "Cookie", "Json", "Form", "Name", "Prometheus", "Grafana", "Step"),
        *("Extract", "Basic", "Answer"),
    )
}


def _test(url: str, workers: int = 1) -> dict[str, Any]:
    address = urlsplit(url).netloc
    headers = {
        "Authorization": f"Bearer {SECRETS['Bearer']}",
        "X-Api-Key": SECRETS["Header"],
        "Cookie": f"session={SECRETS['Cookie']}; other=1",
    }
    login = {
        "path": f"/login?access_token={SECRETS['Step']}",
        "method": "POST",
        "data": {"user": "ann", "password": SECRETS["Json"]},
        "headers": {"Proxy-Authorization": f"Basic {SECRETS['Basic']}"},
        "extract": {"token": "json:token"},
    }
    return {
        "base_url": f"http://user:{SECRETS['Url']}@{address}",
        "duration_seconds": 60,
        "concurrent_users": 2,
        "think_time_seconds": 0.05,
        "workers": workers,
        "prometheus_url": f"http://user:{SECRETS['Prometheus']}@127.0.0.1:1",
        "thresholds": ["p95 < 1 us", {"promql": "up", "expect": "> 0"}],
        "endpoints": [
            {"path": f"/items?api_key={SECRETS['Query']}&page=2", "headers": headers},
            {"path": "/form", "method": "POST", "data": f"user=ann&password={SECRETS['Form']}"},
            {"path": "/named", "name": f"GET /named?token={SECRETS['Name']}"},
        ],
        "scenarios": [{"steps": [login, {"path": "/me", "headers": {"Authorization": "Bearer ${token}"}}]}],
    }


def _leaks(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in text]


def _get(address: str, path: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return body


@pytest.mark.parametrize("workers", [1, 2])
def test_no_output_shows_a_secret(raw_server: Any, tmp_path: Path, free_port: int, workers: int):
    """The whole program: terminal, log, pages, every report, target file, command lines of its processes."""
    body = json.dumps({"token": SECRETS["Extract"], "error": f"wrong password {SECRETS['Answer']}"}).encode()
    home = tmp_path / ".perfloop"
    (home / "targets").mkdir(parents=True)
    reports = {kind: tmp_path / f"report.{kind}" for kind in RENDERERS}
    environment = {
        **os.environ,
        "GRAFANA_URL": f"http://user:{SECRETS['Grafana']}@127.0.0.1:1",
        "GRAFANA_TOKEN": SECRETS["Grafana"],
        "PERFLOOP_LOADGEN_PORT": str(free_port),
    }
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as server:
        path = tmp_path / "test.yml"
        path.write_text(yaml.safe_dump({"load_tests": {"planted": _test(server.url, workers)}}))
        flags = [part for kind, file in reports.items() for part in (f"--report.{kind}", str(file))]
        command = [sys.executable, "-m", "perfloop_loadgen", "run", str(path), *flags, "--log.level", "debug"]
        with subprocess.Popen(command, stdout=-1, stderr=-1, env=environment) as process:
            [target] = wait_for(lambda: list((home / "targets").glob("*.json")), "the target file")
            [group] = json.loads(target.read_text())
            address = group["targets"][0]
            wait_for(lambda: 'endpoint="GET /named' in _get(address, "/metrics"), "the first requests")
            pages = [_get(address, page) for page in ("/metrics", "/")]
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            lines = [" ".join(one.cmdline()) for one in family]
            shown = [*pages, target.read_text(), *lines]
            process.terminate()
            out, err = process.communicate(timeout=30)
    texts = {"stdout": out.decode(), "stderr": err.decode(), "while it ran": "\n".join(shown)}
    texts |= {kind: file.read_text() for kind, file in reports.items()}
    assert {where: found for where, text in texts.items() if (found := _leaks(text))} == {}
    assert "against http://<secret>@127.0.0.1:" in texts["stderr"]
    assert 'endpoint="GET /named?token=<secret>"' in pages[0]
    assert len(lines) >= workers


PLANTED_MISTAKES = {
    "a host without a port": {"base_url": f"http://user:{SECRETS['Url']}@host:port"},
    "an address without a scheme": {"base_url": f"user:{SECRETS['Url']}@host"},
    "a header with a line end": {"endpoints": [{"path": "/", "headers": {"X-Api-Key": f"{SECRETS['Header']}\nX: 1"}}]},
    "a path with a space": {"endpoints": [{"path": f"/ ?api_key={SECRETS['Query']}"}]},
    "a path that is none": {"endpoints": [{"path": f"x?token={SECRETS['Query']}"}]},
    "an endpoint of a list": {"endpoints": [{"path": "/", "headers": [{"Authorization": SECRETS["Bearer"]}]}]},
    "an unknown key": {"endpoints": [{"path": "/"}], "password": SECRETS["Json"]},
    "a host that does not resolve": {"base_url": f"http://user:{SECRETS['Url']}@no-such-host.invalid"},
    "a header whose name is none": {"endpoints": [{"path": "/", "headers": {"X-Api Key": SECRETS["Header"]}}]},
    "a header that nothing fills": {
        "endpoints": [{"path": "/", "headers": {"X-Api-Key": f"{SECRETS['Header']}${{no}}"}}]
    },
}


@pytest.mark.parametrize("name", PLANTED_MISTAKES)
def test_no_error_message_shows_a_secret(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A mistake next to each kind of secret: the sentence names the key, not the value."""
    path = tmp_path / "test.yml"
    section = {"duration_seconds": 0.1, "endpoints": [{"path": "/"}], **PLANTED_MISTAKES[name]}
    path.write_text(yaml.safe_dump({"load_tests": {"t": section}}, allow_unicode=True))
    assert main(["run", str(path)]) == 2
    captured = capsys.readouterr()
    assert _leaks(captured.out + captured.err) == []
    assert "Traceback" not in captured.err


def test_no_flag_shows_a_secret(capsys: pytest.CaptureFixture[str]):
    """`--url` with a password and a mistake."""
    for url in (f"ftp://user:{SECRETS['Url']}@host", f"http://user:{SECRETS['Url']}@:x", f"http://u:{SECRETS['Url']}@"):
        assert main(["run", "--profile", "basic", "--url", url]) == 2
    assert _leaks(capsys.readouterr().err) == []


async def test_a_server_that_repeats_a_secret_does_not_show_it(serve: Any, caplog: pytest.LogCaptureFixture):
    """Prometheus's own error, and an exception of the user's code, with a value of the configuration in it."""
    reason = json.dumps({"status": "error", "error": f"no access for {SECRETS['Bearer']}"}).encode()
    answer = b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%s" % (len(reason), reason)
    async with serve(answer) as service:
        config = _test(service.url) | {"prometheus_url": service.url, "duration_seconds": 0.3}
        tester = LoadTester(LoadTestConfig.model_validate(config))
        summary = await tester.run_load_test()
        document = tester.document(summary)
    assert any(f"no access for {REDACTED}" in reason for reason in summary.reasons)
    assert {kind: found for kind, render in RENDERERS.items() if (found := _leaks(render(document).decode()))} == {}


def test_runs_with_other_secrets_still_compare():
    """Two runs whose secrets differ, and one that an earlier version hid in its own words, have one configuration."""
    headers = {"endpoints": [{"path": "/", "headers": {"Authorization": f"Bearer {SECRETS['Bearer']}"}}]}
    other = {"endpoints": [{"path": "/", "headers": {"Authorization": "Bearer another-one"}}]}
    earlier = {"endpoints": [{"path": "/", "headers": {"Authorization": "(hidden)"}}]}
    now, then = build_document(0.1, 1, config=without_secrets(headers)), build_document(0.1, 2, config=earlier)
    assert obstacles([now], [build_document(0.1, 2, run_id="y", config=without_secrets(other))]) == []
    assert obstacles([replace(then, run_id="y")], [now]) == []


def test_a_recording_is_imported_without_its_secrets():
    """Headers, cookies, tokens in addresses and passwords in bodies of a browser's recording."""
    request = {
        "method": "POST",
        "url": f"https://shop.example/login?access_token={SECRETS['Query']}",
        "headers": [
            {"name": "Authorization", "value": SECRETS["Bearer"]},
            {"name": "X-Api-Key", "value": SECRETS["Header"]},
            {"name": "Cookie", "value": SECRETS["Cookie"]},
        ],
        "postData": {"text": json.dumps({"user": "ann", "password": SECRETS["Json"]})},
    }
    found = Found()
    test = read_har({"log": {"entries": [{"request": request}]}}, found)
    assert _leaks(json.dumps(test)) == []
    assert _leaks("\n".join(found.lines())) == []
    assert test["scenarios"][0]["steps"][0]["data"]["user"] == "ann"


async def test_a_user_in_a_url_is_basic_authentication():
    """Of the service under test, unless a request has its own header, and of Prometheus; decoded, and nowhere else."""
    heads: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head.decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    url = f"http://us%40er:{SECRETS['Url']}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    own = {"path": "/own", "headers": {"authorization": "Bearer its-own"}}
    config = {"base_url": url, "duration_seconds": 0.5, "concurrent_users": 1, "think_time_seconds": 0.01}
    await LoadTester(LoadTestConfig.model_validate(config | {"endpoints": [{"path": "/"}, own]})).run_load_test()
    with suppress(QueryError):
        await PrometheusApi(url).values("up", 0.0, 1.0)
    server.close()
    await asyncio.sleep(0.1)  # the connections that the clients have closed
    pair = f"us@er:{SECRETS['Url']}".encode()
    sent = {head.split(" ")[1].partition("?")[0]: head.lower() for head in heads}
    assert sent.keys() == {"/", "/own", "/api/v1/query_range"}
    for path, head in sent.items():
        wanted = "Bearer its-own" if path == "/own" else f"Basic {base64.b64encode(pair).decode()}"
        assert f"authorization: {wanted}".lower() in head
        assert head.count("authorization:") == 1
    assert _leaks("".join(heads)) == []
