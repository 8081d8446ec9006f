"""A component has the same flags natively and in Compose: what is set in one place and not in the other is found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from perfloop.stack.components import build_components
from perfloop.stack.settings import read_settings

# What only one of the two has, and why.
ONLY_NATIVE = {
    "prometheus": {"--web.listen-address"},  # in its container it is alone, on the image's own port
    "alertmanager": {"--web.listen-address"},
    "alertmanager_2": {"--web.listen-address"},
    "prometheus_2": {"--web.listen-address"},
}
ONLY_COMPOSE = {
    "exporter": {"--path.procfs", "--path.sysfs", "--path.rootfs"},  # where the host's are mounted
    # The recorder of events needs a newer Alertmanager than Debian's: natively it is switched on where that one runs.
    "alertmanager": {"--enable-feature"},
    "alertmanager_2": {"--enable-feature"},
    # Natively it is `perfloop`, and the memory is the machine's.
    "analyzer": {"--web.command", "--query.max-samples"},
}
FLAG = re.compile(r"(--[\w.-]+)(?:=(.*))?$", re.DOTALL)
# An address or a path differs; any other value must not.
PLACE = re.compile(r"^/|://|^[\w.-]+:\d+$|^\$\{")

# What a setting replaces, and is without it.
SETTING = re.compile(r"\$\{[A-Z_]+:-([^{}]*)\}$")


def _flags(command: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for word in command:
        if match := FLAG.match(word):
            value = SETTING.sub(r"\1", match[2] or "")
            found.setdefault(match[1], []).append("PLACE" if PLACE.search(value) else value)
    if "--cluster.peer" in found:
        found["--cluster.peer"] = found["--cluster.peer"][:1]  # in Compose each is given both, its own among them
    return found


def _services(checkout: Path, alertmanagers: int, *, scale: bool = False) -> dict[str, Any]:
    names = ["docker-compose.yml", "docker-compose.ha.yml"][:alertmanagers]
    names += ["docker-compose.scale.yml"] if scale else []
    services: dict[str, Any] = {}
    for name in names:
        document = yaml.safe_load((checkout / name).read_text(encoding="utf-8"))
        for service, values in document["services"].items():
            services.setdefault(service, {}).update(values)
    return services


BINARIES = {name: Path("/usr/bin") / name for name in ("prometheus", "alertmanager", "victoriametrics", "grafana")}
# The store has single dashes. What the one program or the cluster alone has, and why.
STORE_FLAG = re.compile(r"-([\w.]+)=(.*)")
ONLY_SINGLE = {"memory.allowedPercent"}  # a container's memory is its own
ONLY_CLUSTER = {
    *("storageNode", "cacheDataPath"),
    "inmemoryDataFlushInterval",  # newer than Debian's release, which writes every second
}


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("alertmanagers", [1, 2])
def test_every_component_has_the_same_flags(checkout: Path, alertmanagers: int, *, scale: bool):
    """Names, how often each is given, and every value that is no address and no path."""
    variables = {"PERFLOOP_ALERTMANAGERS": str(alertmanagers), "PERFLOOP_SCALE": str(int(scale))}
    settings = read_settings(checkout, variables)
    services = _services(checkout, alertmanagers, scale=scale)
    for component in build_components(settings, BINARIES, demo=True):
        # Grafana has settings instead of flags, and those of its image in Compose; the store has a test of its own.
        if component.name in {"grafana", "victoriametrics"}:
            continue
        command = services[component.name]["command"]
        if component.name == "demo":  # a shell reads the password first
            command = command[-1].split()
        native = {
            k: v for k, v in _flags(list(component.command)).items() if k not in ONLY_NATIVE.get(component.name, ())
        }
        compose = {k: v for k, v in _flags(command).items() if k not in ONLY_COMPOSE.get(component.name, ())}
        assert compose == native, component.name


def test_the_store_has_the_same_flags(checkout: Path):
    """Those of the one program are those of the cluster's three together, with the same values."""
    components = build_components(read_settings(checkout, {"PERFLOOP_SCALE": "1"}), BINARIES, demo=False)
    (single,) = (component for component in components if component.name == "victoriametrics")
    services = _services(checkout, 1, scale=True)
    cluster: dict[str, str] = {}
    for name in ("vminsert", "vmselect", "vmstorage"):
        found = (STORE_FLAG.fullmatch(word) for word in services[name]["command"])
        for flag, value in (match.groups() for match in found if match):
            plain = SETTING.sub(r"\1", value)
            assert cluster.setdefault(flag, plain) == plain or flag in {"storageNode", "httpListenAddr"}, flag
    alone = dict(match.groups() for word in single.command if (match := STORE_FLAG.fullmatch(word)))
    assert alone.keys() - ONLY_SINGLE == cluster.keys() - ONLY_CLUSTER
    places = {"storageDataPath", "httpListenAddr"}
    assert {k: v for k, v in alone.items() if k in cluster and k not in places} == {
        k: v for k, v in cluster.items() if k in alone and k not in places
    }
