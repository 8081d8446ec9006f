"""The containers of the chart, as programs: each is started with its own arguments, and answers its own probes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.support.free_ports import find_free_ports
from tests.support.helm import CHART, Document, find, of_set
from tests.support.programs import run_program

if TYPE_CHECKING:
    from pathlib import Path

SERVING = [
    ("default", "DaemonSet", "-exporter"),
    ("default", "Deployment", "-analyzer"),
    ("standalone", "Deployment", "-analyzer"),
    ("production", "Deployment", "-analyzer"),
    ("standalone", "Deployment", "-inbox"),
]
# What the Secrets of the value sets hold.
SECRETS = {
    "perfloop-database": {"url": "sqlite://"},
    "perfloop-token": {"token": "a-token-of-the-tests"},  # pragma: allowlist secret
    "perfloop-channels": {"slack_api_url": "https://hooks.example.org/services/T0/B0/x"},  # pragma: allowlist secret
    "mimir": {},
    "perfloop-runs": {"url": "sqlite://"},
}


def _mount(
    pod: dict[str, Any], container: dict[str, Any], documents: list[Document], root: Path
) -> list[tuple[str, str]]:
    """Lay out the volumes of a pod below `root`; return where each mount lies now, the longest first."""
    moved = []
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "hostPath" in volume:
            moved.append((mount["mountPath"], volume["hostPath"]["path"]))
            continue
        place = root / mount["name"]
        place.mkdir(exist_ok=True)
        for name, text in _content(volume, documents).items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")
        moved.append((mount["mountPath"], str(place)))
    return sorted(moved, key=lambda one: -len(one[0]))


def _content(volume: dict[str, Any], documents: list[Document]) -> dict[str, str]:
    if "secret" in volume:
        return SECRETS[volume["secret"]["secretName"]]
    if "configMap" not in volume:
        return {}
    (found,) = (
        one
        for one in documents
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == volume["configMap"]["name"]
    )
    data: dict[str, str] = found["data"]
    items = volume["configMap"].get("items")
    return {one["path"]: data[one["key"]] for one in items} if items else data


def _moved(argument: str, mounts: list[tuple[str, str]]) -> str:
    """Return an argument with the paths of a container where they lie now, each replaced once, the longest first."""
    places = dict(mounts)
    pattern = "|".join(re.escape(before) for before in places)

    def move(found: re.Match[str]) -> str:
        return places[found[0]].rstrip("/") if argument[found.end() :].startswith("/") else places[found[0]]

    return re.sub(r"(?<==)0\.0\.0\.0:\d+$", "127.0.0.1:0", re.sub(rf"(?<![\w.-])(?:{pattern})(?=/|$)", move, argument))


def _command(documents: list[Document], kind: str, end: str, root: Path, which: str = "containers") -> list[str]:
    pod = find(documents, kind, end)["spec"]["template"]["spec"]
    (container,) = pod[which]
    mounts = _mount(pod, container, documents, root)
    return [_moved(argument, mounts) for argument in container["args"]]


@pytest.mark.parametrize(("name", "kind", "end"), SERVING, ids=lambda value: value.strip("-"))
def test_a_container_starts_and_answers_its_probes(name: str, kind: str, end: str, tmp_path: Path) -> None:
    """With every flag of the chart, its configuration and its Secrets."""
    python, dash, module, *flags = _command(of_set(name), kind, end, tmp_path)
    assert (python, dash) == ("python3", "-m")
    flags = [flag for flag in flags if not flag.startswith("--collector.systemd")]
    with run_program(module, flags, tmp_path) as program:
        assert program.client.get("/-/healthy").status_code == httpx.codes.OK
        assert program.client.get("/-/ready").status_code in {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}
        assert program.client.get("/metrics").status_code == httpx.codes.OK


def test_a_pod_of_the_load_test_sends_its_share(tmp_path: Path) -> None:
    """By the number that an indexed Job gives it."""
    documents = of_set("loadgen")
    _, _, module, command, file, *flags = _command(documents, "Job", "", tmp_path)
    (target,) = find_free_ports(1)
    kept = [flag for flag in flags if not flag.startswith(("--start-at", "--url=", "--store", "--web"))]
    assert "--share=job/4" in kept
    done = subprocess.run(
        [
            *(sys.executable, "-m", module, command, file, *kept, "--store.url=none"),
            *(f"--url=http://127.0.0.1:{target}", "--duration=1s", f"--report.json={tmp_path / 'report.json'}"),
        ],
        env=os.environ | {"JOB_COMPLETION_INDEX": "2", "PERFLOOP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    report = yaml.safe_load((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["share"]["number"], report["share"]["of"]) == (3, 4), done.stderr
    # A quarter of 400 a second.
    assert report["summary"]["total"]["total_requests"] == pytest.approx(100, abs=1)


def test_alertmanager_gets_the_configuration_that_its_secrets_allow(amtool: str, tmp_path: Path) -> None:
    """By the init container of the pod: Slack to its real address, the rest to the inbox; and amtool accepts it."""
    command = _command(of_set("standalone"), "Deployment", "-alertmanager", tmp_path, "initContainers")
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "config"
    config = yaml.safe_load((out / "alertmanager.yml").read_text(encoding="utf-8"))
    slack = next(one for one in config["receivers"] if one["name"] == "slack")
    assert slack["slack_configs"][0]["api_url_file"].endswith("/secrets/slack_api_url")
    page = next(one for one in config["receivers"] if one["name"] == "pagerduty")
    assert page["pagerduty_configs"][0]["url"] == "http://loop-perfloop-inbox.perf.svc:19130/v2/enqueue"
    assert "https://grafana.example.org{{ end }}" in (out / "templates" / "links.tmpl").read_text(encoding="utf-8")
    # The event recorder is newer than the amtool of most machines.
    config.pop("event_recorder", None)
    (out / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    checked = subprocess.run(
        [amtool, "check-config", str(out / "alertmanager.yml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_secret_that_cannot_be_right_keeps_alertmanager_from_starting(tmp_path: Path) -> None:
    """In one sentence of the init container's, without the secret's value."""
    command = _command(of_set("standalone"), "Deployment", "-alertmanager", tmp_path, "initContainers")
    (tmp_path / "secrets" / "slack_api_url").write_text("not-an-address", encoding="utf-8")
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "secrets/slack_api_url holds 14 characters that are not the https:// address" in done.stderr
    assert "not-an-address" not in done.stderr
    assert not (tmp_path / "config" / "alertmanager.yml").exists()


def test_flags_of_prometheus_and_alertmanager_are_those_of_compose() -> None:
    """But for addresses, and what a ConfigMap needs."""
    compose = yaml.safe_load((CHART.parents[2] / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    documents = of_set("standalone")
    for name in ("prometheus", "alertmanager"):
        args = find(documents, "Deployment", f"-{name}")["spec"]["template"]["spec"]["containers"][0]["args"]
        theirs = {flag.partition("=")[0] for flag in compose[name]["command"]}
        assert {flag.partition("=")[0] for flag in args} == theirs | {"--web.route-prefix"}
