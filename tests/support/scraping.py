"""A real Prometheus that scrapes one program often, and stores exemplars."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any


@contextmanager
def scraping(
    directory: Path, binary: str, target: str, *flags: str, more: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Scrape `HOST:PORT` five times a second while the block runs; `more` is added to the configuration.

    Yields the address of the Prometheus.
    """
    (port,) = find_free_ports(1)
    jobs = [
        {
            "job_name": "scraped",
            "scrape_interval": "200ms",
            "scrape_timeout": "200ms",
            "static_configs": [{"targets": [target] if target else []}],
        }
    ]
    (directory / "prometheus.yml").write_text(json.dumps({"scrape_configs": jobs, **(more or {})}))
    url = f"http://127.0.0.1:{port}"
    command = [binary, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", "--enable-feature=exemplar-storage"]
    process = subprocess.Popen([*command, *flags])

    def is_ready() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{url}/-/ready").is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(is_ready, "Prometheus", 90)
        yield url
    finally:
        process.terminate()
        process.wait(60)
