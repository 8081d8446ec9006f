"""The official releases that a native stack downloads, pinned by their sha256.

Each digest was read in two independent public places: Prometheus' and Alertmanager's in deployment scripts that pin the
same archives (alertmanager's in openstack/kolla's sources), Grafana's in the release's own `.sha256` as quoted there.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One archive: where it is, what it must hash to, and which of its files are programs."""

    url: str
    sha256: str
    programs: tuple[str, ...]


_GITHUB = "https://github.com/prometheus"
_AMD64 = {
    "prometheus": Release(
        f"{_GITHUB}/prometheus/releases/download/v3.5.0/prometheus-3.5.0.linux-amd64.tar.gz",
        "e811827af26d822afb09a4f28314f61b618b12cff5369835a67f674d8b46f39a",
        ("prometheus", "promtool"),
    ),
    "alertmanager": Release(
        f"{_GITHUB}/alertmanager/releases/download/v0.28.1/alertmanager-0.28.1.linux-amd64.tar.gz",
        "5ac7ab5e4b8ee5ce4d8fb0988f9cb275efcc3f181b4b408179fafee121693311",
        ("alertmanager", "amtool"),
    ),
    "grafana": Release(
        "https://dl.grafana.com/oss/release/grafana-12.0.2.linux-amd64.tar.gz",
        "c1755b4da918edfd298d5c8d5f1ffce35982ad10e1640ec356570cfb8c34b3e8",
        ("bin/grafana",),
    ),
}
_ARM64 = {
    "alertmanager": Release(
        f"{_GITHUB}/alertmanager/releases/download/v0.28.1/alertmanager-0.28.1.linux-arm64.tar.gz",
        "d8832540e5b9f613d2fd759e31d603173b9c61cc7bb5e3bc7ae2f12038b1ce4f",
        ("alertmanager", "amtool"),
    ),
}


def find_release(program: str) -> Release | None:
    """Return the release of `program` for this machine, or None where none is pinned."""
    if platform.system() != "Linux":
        return None
    by_machine = {"x86_64": _AMD64, "amd64": _AMD64, "aarch64": _ARM64, "arm64": _ARM64}
    return by_machine.get(platform.machine().lower(), {}).get(program)
