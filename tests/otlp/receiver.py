"""A Prometheus that receives OTLP, with the shipped rules and what the stack adds to its configuration."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from perfloop.stack import otlp
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Receiver:
    """A running Prometheus."""

    url: str

    @property
    def endpoint(self) -> str:
        """Where metrics are sent."""
        return f"{self.url}{otlp.PATH}"

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        asked = {"query": expression} | ({"time": str(at)} if at is not None else {})
        answer = httpx.get(f"{self.url}/api/v1/query", params=asked, timeout=30).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def values(self, expression: str, label: str) -> dict[str, float]:
        """Return the values of a query by one label."""
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(expression)}


@contextmanager
def run_receiver(binary: Path, directory: Path, rules: Path, config: dict[str, Any]) -> Iterator[Receiver]:
    """Run Prometheus with the rules of a directory and the stack's own additions."""
    (port,) = find_free_ports(1)
    config = {"rule_files": [f"{rules}/rules/*.yml", f"{rules}/alerts/*.yml"], **config}
    (directory / "prometheus.yml").write_text(otlp.extend(yaml.safe_dump(config)))
    command = [
        str(binary),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *otlp.FLAGS,
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    receiver = Receiver(f"http://127.0.0.1:{port}")

    def is_ready() -> bool:
        assert process.poll() is None, (directory / "prometheus.log").read_text()
        try:
            return httpx.get(f"{receiver.url}/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        wait_for(is_ready, "Prometheus", 60)
        yield receiver
    finally:
        process.terminate()
        process.wait(30)
