"""A marked secret in every setting, header, URL, file and variable of every program, looked for in all that they show.

The real programs run, most of them against something that fails, so that they say what they could not reach.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import yaml

from perfloop.stack.native import NativeStack
from perfloop.stack.settings import read_settings
from tests.support.native_stack import Stack
from tests.support.servers import HttpServer
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONG = bool(os.environ.get("PERFLOOP_LONG_TESTS"))
CHECKOUT = Path(__file__).parents[2]
# Of no well-known form, and with letters that are the same in URLs, JSON and HTML.
MARK = "m4rkedS3cret"
SECRET = f"{MARK}0123"
DEAD = "127.0.0.1:1"  # nothing listens there
# Base64 shows it in one of three ways, by where it begins.
FORMS = [
    MARK.encode(),
    *(base64.b64encode(b"x" * before + MARK.encode())[4:-4] for before in range(3)),
]


def find_mark(content: bytes) -> str:
    """Return what is around a marked secret in a text, or nothing."""
    for form in FORMS:
        place = content.find(form)
        if place >= 0:
            return content[max(0, place - 80) : place + 40].decode(errors="replace")
    return ""


def assert_hidden(where: str, content: bytes | str) -> None:
    """Fail where a marked secret is shown."""
    found = find_mark(content.encode(errors="replace") if isinstance(content, str) else content)
    assert not found, f"{where} shows a secret: {found!r}"


def assert_files_hidden(directory: Path, own: set[str]) -> None:
    """Look into every file below a directory; the secret's own files are readable by their owner alone."""
    for path in directory.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        if path.name in own:
            if find_mark(content):
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, f"others may read {path}"
            continue
        assert_hidden(str(path), content)


def run(directory: Path, *words: str, **environment: str) -> str:
    """Run one of our programs to its end and return everything that it wrote, the command line left out."""
    given = {**os.environ, "PERFLOOP_HOME": str(directory / "home"), **environment}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=directory, env=given, check=False, capture_output=True, timeout=120
    )
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


URL = f"http://admin:{SECRET}@{DEAD}"
QUERY_URL = f"http://{DEAD}/api?api_key={SECRET}&token={SECRET}"
ANALYZER = ("perfloop_analyzer", "once", "--store.url=sqlite://", "--query.timeout=2s")
COMMANDS = {
    "analyzer, user part": (*ANALYZER, f"--prometheus.url={URL}"),
    "analyzer, query": (*ANALYZER, f"--prometheus.url={QUERY_URL}"),
    "analyzer, slash in the password": (*ANALYZER, f"--prometheus.url=http://admin:{SECRET}/x@{DEAD}"),
    "analyzer, no scheme": (*ANALYZER, f"--prometheus.url=admin:{SECRET}@{DEAD}"),
    "analyzer, header": (*ANALYZER, f"--prometheus.url=http://{DEAD}", f"--prometheus.header=X-Api-Key: {SECRET}"),
    "analyzer, header without a colon": (*ANALYZER, f"--prometheus.header=Authorization Bearer {SECRET}"),
    "analyzer, database": (
        *("perfloop_analyzer", "once", f"--prometheus.url=http://{DEAD}"),
        f"--store.url=postgresql+psycopg://perfloop:{SECRET}@{DEAD}/none",
    ),
    "analyzer, unknown database": (
        *("perfloop_analyzer", "once", f"--store.url=nodb://perfloop:{SECRET}@{DEAD}/none"),
    ),
    "analyzer, language model": (*ANALYZER, f"--prometheus.url=http://{DEAD}", f"--llm.url={URL}", "--llm.model=m"),
    "analyzer, its own address": ("perfloop_analyzer", "recommendations", f"--web.url={URL}"),
    "inbox": ("perfloop_inbox", f"--prometheus.url={URL}", "--web.listen-address=nowhere"),
    "inbox, misspelt flag": ("perfloop_inbox", f"--prometeus.url={URL}"),
    "rules": ("perfloop_rules", f"--live={URL}"),
    "loadgen, profile": ("perfloop_loadgen", "run", "--profile=basic", f"--url=nohttp://admin:{SECRET}@{DEAD}"),
    "loadgen, misspelt flag": ("perfloop_loadgen", "run", f"--tokn={SECRET}", "--profile=basic"),
    "exporter, misspelt flag": ("perfloop_exporter", f"--web.pasword={SECRET}"),
    "exporter, misspelt flag and value": ("perfloop_exporter", "--web.pasword", SECRET),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_fails_shows_no_secret(name: str, tmp_path: Path):
    """What could not be reached or understood is named without its secret, and every file left behind likewise."""
    shown = run(tmp_path, *COMMANDS[name])
    assert shown
    assert_hidden(name, shown)
    assert "Traceback" not in shown
    assert_files_hidden(tmp_path, set())


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (
            ("perfloop_demo.service", "--web.listen-address=nowhere"),
            {"DATABASE_URL": f"postgresql://u:{SECRET}@{DEAD}/d"},
        ),
        (("perfloop_demo.service",), {"DATABASE_URL": f"nodb://u:{SECRET}@{DEAD}/d"}),
        (("perfloop_demo.service",), {"REDIS_URL": f"noredis://:{SECRET}@{DEAD}"}),
        (("perfloop", "status"), {"PERFLOOP_DEMO_PORT": SECRET, "MY_API_KEY": SECRET}),
    ],
    ids=["database", "unknown database", "unknown cache", "port"],
)
def test_a_variable_that_cannot_be_used_shows_no_secret(
    words: tuple[str, ...], environment: Mapping[str, str], tmp_path: Path
):
    """The sentence about a variable names it, not what it holds."""
    shown = run(tmp_path, *words, **environment)
    assert shown
    assert_hidden(" ".join(words), shown)


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        f"SLACK_TOKEN: {SECRET}",
        f"export {SECRET}",
        f"API KEY={SECRET}",
        f"PERFLOOP_DEMO_PORT=http://u:{SECRET}@h",
    ],
)
@pytest.mark.parametrize("command", ["status", "doctor", "up"])
def test_a_broken_env_file_shows_no_value(command: str, line: str, tmp_path: Path):
    """A line that cannot be used is named by its number or its variable."""
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "prometheus" / "prometheus.yml").write_text("{}")
    (tmp_path / ".env").write_text(f"# fine\n{line}\n")
    shown = run(tmp_path, "perfloop", command)
    assert "line 2" in shown or "PERFLOOP_DEMO_PORT" in shown
    assert_hidden(".env", shown)


class _Repeating(BaseHTTPRequestHandler):
    """Answers every request with a status of 500, and repeats what it was sent, as bad services do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Repeat the request."""
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        body = f"{self.requestline}\n{self.headers}\n{sent}".encode()
        self.send_response(500, "no")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repeated", str(self.headers.get("X-Api-Key")))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 # the library's name

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def repeating_server() -> Iterator[str]:
    """Yield the address of a server that repeats what it is sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Repeating)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("target", ["repeats", "dead"])
def test_a_load_test_shows_no_secret(target: str, tmp_path: Path):
    """Not in its output, its reports of every kind, or its history: from the URL, headers, query, body or variables."""
    with repeating_server() as address:
        host = address if target == "repeats" else DEAD
        test = {
            "name": "marked",
            "base_url": f"http://admin:{SECRET}@{host}/base?api_key={SECRET}",
            "duration_seconds": 1,
            "concurrent_users": 1,
            "think_time_seconds": 0.2,
            "endpoints": [
                {"path": f"/a?token={SECRET}", "headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}},
                {"path": "/b", "headers": {"Cookie": f"session={SECRET}"}},
                {"path": "/c", "method": "POST", "data": {"password": SECRET, "nested": {"client_secret": SECRET}}},
            ],
        }
        (tmp_path / "test.yml").write_text(yaml.safe_dump({"load_tests": {"marked": test}}))
        (tmp_path / "test.yml").chmod(0o600)
        reports = [f"--report.{kind}={tmp_path}/report.{kind}" for kind in ("json", "html", "csv", "junit", "markdown")]
        variables = {"GRAFANA_TOKEN": SECRET, "GRAFANA_URL": f"http://admin:{SECRET}@{host}"}
        shown = run(tmp_path, "perfloop_loadgen", "run", "test.yml", *reports, **variables)
    assert shown
    assert_hidden("the load test", shown)
    assert_files_hidden(tmp_path, {"test.yml"})


LISTENING = re.compile(r"(?:listening address=|url=https?://|on https?://)(127\.0\.0\.1:\d+)")
USERS = {"basic_auth_users": {"admin": f"$2b$04${MARK}{'a' * (53 - len(MARK))}"}}


def secret_file(directory: Path, name: str, content: str = SECRET) -> str:
    """Write a secret's own file and return its path."""
    path = directory / name
    path.write_text(content)
    path.chmod(0o600)
    return str(path)


def service_flags(name: str, directory: Path, address: str) -> list[str]:
    """Return the command line of a service that takes every secret it can from files."""
    if name == "analyzer":
        return [
            *("perfloop_analyzer", "run", "--interval=1s", "--query.timeout=2s"),
            f"--prometheus.url-file={secret_file(directory, 'url', f'http://admin:{SECRET}@{address}')}",
            f"--store.url-file={secret_file(directory, 'store', f'sqlite:///{directory}/analyzer.db?password={SECRET}')}",
            f"--web.token-file={secret_file(directory, 'token')}",
            f"--llm.token-file={secret_file(directory, 'llm')}",
            "--llm.model=m",
            f"--llm.url=http://{address}",
        ]
    flags = {
        "inbox": [
            *("perfloop_inbox", "--smtp.listen-address=127.0.0.1:0"),
            *(f"--{one}.url=http://admin:{SECRET}@{address}" for one in ("prometheus", "alertmanager")),
        ],
        "exporter": ["perfloop_exporter", "--collector.disable-defaults", "--collector.loadavg"],
    }[name]
    config = secret_file(directory, "web.yml", yaml.safe_dump(USERS))
    return [*flags, f"--web.config.file={config}"]


@pytest.mark.parametrize("name", ["analyzer", "inbox", "exporter"])
def test_a_service_shows_no_secret(name: str, tmp_path: Path):
    """Not on a page, in an answer of its API, its metrics, log, files or command line; secrets come from files."""
    own = {"url", "store", "token", "llm", "web.yml"}
    with repeating_server() as address:
        command = [sys.executable, "-m", *service_flags(name, tmp_path, address), "--web.listen-address=127.0.0.1:0"]
        log_path = tmp_path / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "PERFLOOP_HOME": str(tmp_path)}
            )
        server = HttpServer(name, process, log_path)
        try:
            found = wait_for(
                lambda: LISTENING.search(server.log.replace("listening for mail", "")), f"{name} to listen"
            )
            host, _, port = found[1].rpartition(":")
            server.address = (host, int(port))
            if name == "analyzer":
                wait_for(lambda: "500" in server.log or "refused" in server.log, "a cycle to fail", 60)
            for method, path in server.operations():
                for authorization in ("", f"Bearer {SECRET}x", "Basic " + base64.b64encode(b"admin:wrong").decode()):
                    answer = server.ask(method, path, {"Authorization": authorization} if authorization else {})
                    assert_hidden(f"{method} {path}", json.dumps(dict(answer.headers)).encode() + answer.body)
            processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            assert_hidden("a command line", " ".join(word for one in processes for word in one.cmdline()))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert_hidden("the log", server.log)
    assert_files_hidden(tmp_path, own)


def test_what_a_stack_keeps_is_private(tmp_path: Path):
    """Its directory and each one in it can be entered by their owner alone, whatever the umask and what was there."""
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True, mode=0o777)
    NativeStack(read_settings(CHECKOUT, {"PERFLOOP_HOME": str(home)}, tmp_path))._make_directories()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
    assert {"home", "logs", "etc", "run", "prometheus"} <= modes.keys()
    assert set(modes.values()) == {0o700}, modes


class _Configured(Stack):
    """A stack with a configuration of its own."""

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start one command in the configuration, once there is one."""
        directory = self.home.parent / "configuration"
        return subprocess.Popen(
            [sys.executable, "-m", "perfloop", *arguments],
            cwd=directory if directory.is_dir() else self.home.parent,
            env={**self.environment, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.mark.skipif(not LONG, reason="starts a whole stack: set PERFLOOP_LONG_TESTS=1 to run it")
@pytest.mark.slow
def test_a_stack_shows_no_secret(tmp_path: Path):
    """With the files of `secrets/` and a secret in `.env`: no page, log, file, command line or command shows one."""
    tools = f"{CHECKOUT / '.perfloop' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    stack = _Configured(tmp_path / "home", PATH=tools)
    assert stack.run("init", str(tmp_path / "configuration"))[0] == 0
    configuration = tmp_path / "configuration"
    values = {
        "slack_api_url": f"https://hooks.slack.com/services/T00000000/B00000000/{SECRET}",
        "pagerduty_routing_key": f"{MARK}{'0' * (32 - len(MARK))}",
        "smtp_auth_password": SECRET,
        "smtp_smarthost": DEAD,
        "smtp_auth_username": "perfloop",
        "smtp_from": "perfloop@example.com",
        "email_to": "oncall@example.com",
    }
    for name, value in values.items():
        secret_file(configuration / "secrets", name, value)
    secret_file(configuration, ".env", f"MY_SERVICE_TOKEN={SECRET}\n")
    try:
        said = stack.up()
        outputs = {"up": said}
        for words in (("status",), ("status", "--json"), ("doctor",), ("logs", "alertmanager"), ("logs", "prometheus")):
            _, out, err = stack.run(*words)
            outputs[" ".join(words)] = out + err
        for name, output in outputs.items():
            assert_hidden(f"perfloop {name}", output)
        for process in psutil.process_iter(["cmdline"]):
            assert_hidden(f"the command line of {process.pid}", " ".join(process.info["cmdline"] or ()))
    finally:
        stack.clear()
    assert_files_hidden(stack.home, set(values))
    for path in (stack.home, *(path for path in stack.home.iterdir() if path.is_dir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
