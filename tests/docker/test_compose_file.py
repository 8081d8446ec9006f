"""What must be true of the files themselves, with or without an engine."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from perfloop.stack.components import link_of_exemplars
from perfloop_base.home import DEFAULT_PORTS, port_variable

if TYPE_CHECKING:
    from pathlib import Path

EXTRAS = ("exporter", "analyzer", "loadgen", "inbox", "demo")


@pytest.fixture(scope="module")
def compose(checkout: Path) -> dict[str, Any]:
    """docker-compose.yml as YAML, variables still in it."""
    return dict(yaml.safe_load((checkout / "docker-compose.yml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services."""
    return dict(compose["services"])


def test_both_generations_of_compose_read_it(compose: dict[str, Any]):
    """No top-level `name:` (1.29 refuses it) and no `version:` (today's warns of it)."""
    assert set(compose) - {key for key in compose if key.startswith("x-")} == {"services", "networks", "volumes"}


def test_every_image_is_pinned_and_can_be_replaced(services: dict[str, dict[str, Any]]):
    """Each image is a variable whose default has a tag and a digest; ours alone is built."""
    for name, service in services.items():
        variable, default = re.fullmatch(r"\$\{(PERFLOOP_\w*IMAGE):-(.+)\}", service["image"]).groups()  # type: ignore[union-attr]
        if default == "perfloop:local":
            assert variable == "PERFLOOP_IMAGE"
            continue
        assert variable == f"PERFLOOP_{name.upper()}_IMAGE"
        assert re.fullmatch(r"[\w./-]+:v?[\d.]+[\w.-]*@sha256:[0-9a-f]{64}", default), default


def test_the_base_of_our_image_is_the_same_in_both_files(checkout: Path, services: dict[str, dict[str, Any]]):
    """The Dockerfile's default base and the Compose file's are one."""
    argument = services["init"]["build"]["args"]["PERFLOOP_PYTHON_IMAGE"]
    default = re.search(r"^ARG PERFLOOP_PYTHON_IMAGE=(\S+)$", (checkout / "Dockerfile").read_text(), re.MULTILINE)
    assert default is not None
    assert argument == f"${{PERFLOOP_PYTHON_IMAGE:-{default[1]}}}"


def test_every_port_is_local_and_can_be_moved(services: dict[str, dict[str, Any]]):
    """Each published port is 127.0.0.1, its variable, and the design's default on both sides."""
    published = [port for service in _always(services) for port in service.get("ports", [])]
    added = ("_2", "cluster", "victoriametrics")  # by docker-compose.ha.yml and docker-compose.scale.yml
    singles = {name: port for name, port in DEFAULT_PORTS.items() if not any(part in name for part in added)}
    expected = [f"127.0.0.1:${{{port_variable(name)}:-{port}}}:{port}" for name, port in singles.items()]
    assert sorted(published) == sorted(expected)


def _always(services: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [service for service in services.values() if "profiles" not in service]


def test_a_trace_store_is_there_on_request_alone(services: dict[str, dict[str, Any]]):
    """Tempo and what makes it a data source; its image has no shell that a health check could run in.

    Its ports are local and can be moved; what makes it a source ends, and is not started again.
    """
    chosen = {name: service for name, service in services.items() if "profiles" in service}
    assert {name: service["profiles"] for name, service in chosen.items()} == {
        "tempo": ["traces"],
        "tempo-source": ["traces"],
    }
    ports = chosen["tempo"]["ports"]
    assert ports == ["127.0.0.1:${PERFLOOP_TEMPO_PORT:-3200}:3200", "127.0.0.1:${PERFLOOP_OTLP_PORT:-4318}:4318"]
    assert chosen["tempo-source"]["restart"] == "no"
    assert chosen["tempo-source"]["user"] == services["grafana"]["user"]  # who alone reads the password


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("", ""),
        ("http://jaeger:16686", "http://jaeger:16686/trace/${__value.raw}"),
        ("http://jaeger:16686/", "http://jaeger:16686/trace/${__value.raw}"),
        ("http://g/x?a=%7B{trace_id}&b=1", "http://g/x?a=%7B${__value.raw}&b=1"),
    ],
)
def test_exemplars_lead_where_a_native_stack_leads(services: dict[str, dict[str, Any]], url: str, link: str):
    """The shell of Grafana's container makes the same link of the trace store's address as the native stack does."""
    command = services["grafana"]["entrypoint"][2].replace("$$", "$").replace("exec /run.sh", "")
    shell = subprocess.run(
        ["sh", "-euc", f'{command}\nprintf %s "$PERFLOOP_TRACES_LINK"'],
        check=True,
        capture_output=True,
        text=True,
        env={"PERFLOOP_TRACES_URL": url, "PATH": os.environ["PATH"]},
    )
    assert shell.stdout == link == link_of_exemplars(url.rstrip("/"))


def test_nothing_starts_before_what_it_needs_is_healthy(services: dict[str, dict[str, Any]]):
    """Every dependency waits for health, and for `init` to have ended well; every component has a health check."""
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed == "init" else "service_healthy"
            assert how == {"condition": wanted}, f"{name} → {needed}"
        assert name == "init" or "profiles" in service or "healthcheck" in service, name


@pytest.mark.parametrize("rule", ["read_only", "cap_drop", "security_opt", "mem_limit", "memswap_limit", "pids_limit"])
def test_every_service_is_hardened(services: dict[str, dict[str, Any]], rule: str):
    """No service lacks a wall."""
    assert [name for name, service in services.items() if not service.get(rule)] == []


def test_only_init_is_root_and_it_is_alone(services: dict[str, dict[str, Any]]):
    """`init` has root for two capabilities and no network; nobody else has either."""
    assert [name for name, service in services.items() if service["user"].startswith(("0", "root"))] == ["init"]
    assert [name for name, service in services.items() if "cap_add" in service] == ["init"]
    assert services["init"]["network_mode"] == "none"
    assert services["init"]["restart"] == "no"


def test_what_is_mounted_from_the_host_is_read_only(services: dict[str, dict[str, Any]]):
    """No container can write to the checkout or the host, and none has the engine's socket."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    from_host = [mount for mount in mounts if mount.startswith((".", "/"))]
    assert from_host
    assert [mount for mount in from_host if not re.search(r":ro(\$|$)", mount)] == []
    assert not any("docker.sock" in mount for mount in mounts)


def _locked(checkout: Path) -> list[Requirement]:
    text = (checkout / "requirements.lock").read_text(encoding="utf-8")
    return [Requirement(line.removesuffix(" \\")) for line in text.splitlines() if re.match(r"[a-z]\S*==", line)]


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_the_lock_satisfies_the_project(checkout: Path, python: str):
    """Whatever pyproject.toml asks for is in the lock at a version that it allows, on each Python."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(need for extra in EXTRAS for need in project["optional-dependencies"][extra])]
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    locked = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in _locked(checkout)
        if pin.marker is None or pin.marker.evaluate(here)
    }
    needs = [Requirement(text) for text in asked]
    unmet = [
        str(need)
        for need in needs
        if canonicalize_name(need.name) not in locked or locked[canonicalize_name(need.name)] not in need.specifier
    ]
    assert unmet == [], "regenerate requirements.lock: its first lines say how"


def test_every_pin_has_hashes(checkout: Path):
    """Pip refuses whatever has another hash, so every pin must have one."""
    blocks = re.split(r"\n(?=[a-z])", (checkout / "requirements.lock").read_text(encoding="utf-8"))
    assert [block[:40] for block in blocks[1:] if "--hash=sha256:" not in block] == []


def test_no_secret_can_get_into_the_image(checkout: Path):
    """The engine is sent only what the Dockerfile copies: everything is left out but a list."""
    lines = (checkout / ".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules[0] == "*"
    assert sent == {
        "requirements.lock",
        *["prometheus/thresholds.yml", "prometheus/slos.yml"],
        *["base", "exporter", "analyzer", "loadgen", "perfloop", "demo"],
        *["prometheus/perfloop_rules", "grafana/perfloop_boards", "alertmanager/perfloop_inbox"],
    }
