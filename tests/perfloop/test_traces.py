"""The trace store of a stack: what names it, and where it is then linked from."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop.stack import tempo_source
from perfloop.stack.alertmanager_config import install
from perfloop.stack.components import build_components
from perfloop.stack.errors import SettingsError
from perfloop.stack.render import render_tempo
from perfloop.stack.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARIES = {name: Path("/usr/bin") / name for name in ("prometheus", "alertmanager", "grafana")}
URL = "http://127.0.0.1:16686"


@pytest.mark.parametrize(
    ("variables", "link", "source"),
    [
        ({}, "", ""),
        ({"PERFLOOP_TRACES_URL": f"{URL}/"}, f"{URL}/trace/${{__value.raw}}", URL),
        (
            {"PERFLOOP_TRACES_URL": "http://t/{trace_id}?x=1"},
            "http://t/${__value.raw}?x=1",
            "http://t/{trace_id}?x=1",
        ),
    ],
)
def test_analyzer_and_grafana_know_where_traces_are(
    checkout: Path, variables: dict[str, str], link: str, source: str
) -> None:
    """By a flag and a variable that are always there, and empty where no traces are kept."""
    components = {one.name: one for one in build_components(read_settings(checkout, variables), BINARIES, demo=True)}
    assert f"--link=traces={source}" in components["analyzer"].command
    assert components["grafana"].environment["PERFLOOP_TRACES_LINK"] == link


@pytest.mark.parametrize(
    "variables",
    [
        {"PERFLOOP_TRACES_URL": "jaeger:16686"},
        {"PERFLOOP_TRACES_URL": "javascript:alert(1)"},
        {"PERFLOOP_TRACES_URL": "http://user:s3cr3t-word@jaeger"},
        {"PERFLOOP_TEMPO_URL": "tempo:3200"},
        {"PERFLOOP_TEMPO_URL": "http://user:s3cr3t-word@tempo"},
    ],
)
def test_what_is_no_address_is_one_sentence(tmp_path: Path, variables: dict[str, str]) -> None:
    """It names the variable; nothing starts, and no password is repeated."""
    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path, variables)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(next(iter(variables)))
    assert "s3cr3t-word" not in line


def test_messages_lead_to_the_traces_where_there_are_any(checkout: Path, tmp_path: Path, amtool: str) -> None:
    """Once in each channel's markup; without a store the templates are as they were committed."""
    without, with_store = tmp_path / "without", tmp_path / "with"
    for target, url in ((without, ""), (with_store, URL)):
        install(checkout / "alertmanager", target, tmp_path, {}, traces_url=url)
        subprocess.run([amtool, "check-config", str(target / "alertmanager.yml")], check=True, capture_output=True)
    committed = (checkout / "alertmanager" / "templates" / "links.tmpl").read_text()
    assert (without / "templates" / "links.tmpl").read_text() == committed
    text = (with_store / "templates" / "links.tmpl").read_text()
    assert f'<a href="{URL}/search">Traces</a>' in text
    assert f"<{URL}/search|Traces>" in text
    assert f"[Traces]({URL}/search)" in text


@pytest.mark.parametrize("channel", ["slack", "email", "markdown"])
def test_a_message_has_the_link(checkout: Path, tmp_path: Path, amtool: str, channel: str) -> None:
    """As Alertmanager renders it: in front of the link that silences."""
    data = json.dumps(
        {
            "receiver": "x",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "Slow", "service": "shop"},
                    "annotations": {"summary": "slow"},
                    "startsAt": "2026-01-01T00:00:00Z",
                    "endsAt": "2026-01-01T00:00:00Z",
                }
            ],
            "groupLabels": {"alertname": "Slow"},
            "commonLabels": {"alertname": "Slow", "service": "shop"},
            "commonAnnotations": {},
            "externalURL": "http://127.0.0.1:9093",
        }
    )
    path = tmp_path / "data.json"
    path.write_text(data)
    form = {"slack": "slack.text", "email": "email.html", "markdown": "markdown.text"}[channel]

    def render(url: str) -> str:
        target = tmp_path / f"as{len(url)}"
        install(checkout / "alertmanager", target, tmp_path, {}, traces_url=url)
        command = [amtool, "template", "render", f"--template.glob={target / 'templates'}/*.tmpl"]
        command += [f'--template.text={{{{ template "perfloop.{form}" . }}}}', f"--template.data={path}"]
        command += ["--template.type=html"] if channel == "email" else []
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    with_store, without = render(URL), render("")
    assert f"{URL}/search" in with_store
    assert with_store.index("Traces") < with_store.index("Silence")
    assert "Traces" not in without


def test_a_tempo_is_a_data_source_where_it_is_named() -> None:
    """Grafana's own macro is not filled in as a variable of the environment."""
    (source,) = yaml.safe_load(render_tempo("http://tempo:3200"))["datasources"]
    assert (source["uid"], source["type"], source["url"]) == ("tempo", "tempo", "http://tempo:3200")
    assert "$$__tags" in source["jsonData"]["tracesToMetrics"]["queries"][0]["query"]


@pytest.fixture
def grafana() -> Iterator[HTTPServer]:
    """A Grafana that knows one data source: Tempo, once it was added."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = body["uid"] in server.sources
            status = 401 if not self.headers["Authorization"].startswith("Basic ") else 409 if known else 200
            status = server.refusal or status
            if status == 200:
                server.sources[body["uid"]] = body
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.sources, server.refusal = {}, 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_data_source_is_added_once(grafana: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second start leaves it as it is; a refusal is one sentence, without the password."""
    password = tmp_path / "password"
    password.write_text("s3cr3t-word\n")
    url = f"http://127.0.0.1:{grafana.server_port}"
    flags = ["--grafana", url, "--password-file", str(password)]
    assert tempo_source.main(flags) == 0
    assert tempo_source.main(flags) == 0
    assert grafana.sources["tempo"]["url"] == "http://tempo:3200"
    assert "$__tags" in grafana.sources["tempo"]["jsonData"]["tracesToMetrics"]["queries"][0]["query"]
    assert capsys.readouterr().out.splitlines() == ["data source Tempo: added", "data source Tempo: there already"]
    grafana.refusal = 403
    assert tempo_source.main(flags) != 0
    said = capsys.readouterr().err
    assert "status 403" in said
    assert "s3cr3t-word" not in said
