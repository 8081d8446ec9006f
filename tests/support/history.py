"""A real Prometheus whose past is written by hand: what a query finds over hours, without waiting for them."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    Reading = Callable[[float], float | None]


def write_history(series: Mapping[str, Reading], times: Iterable[float]) -> str:
    """Return OpenMetrics text: each series at each time, in seconds, for which its function gives a value."""
    lines = []
    for name, value_at in series.items():
        values = ((moment, value_at(moment)) for moment in times)
        lines += [f"{name} {value!r} {moment!r}" for moment, value in values if value is not None]
    return "\n".join([*lines, "# EOF\n"])


@contextmanager
def serve_history(prometheus: str, promtool: str, directory: Path, text: str) -> Iterator[httpx.Client]:
    """Answer queries over the given history for a while; both programs are given by their paths."""
    (directory / "history.om").write_text(text, encoding="utf-8")
    (directory / "prometheus.yml").write_text("scrape_configs: []\n", encoding="utf-8")
    data = directory / "data"
    made = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(directory / "history.om"), str(data)]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    address = f"127.0.0.1:{find_free_ports(1)[0]}"
    flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={data}"]
    command = [prometheus, *flags, f"--web.listen-address={address}"]
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://{address}", timeout=60) as client,
    ):
        try:
            wait_for(lambda: _is_ready(client), "Prometheus to read its history")
            yield client
        finally:
            process.terminate()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.HTTPError:
        return False


def ask_range(client: httpx.Client, expression: str, window: tuple[float, float], step: float) -> list[Any]:
    """Return the series of a range query."""
    start, end = window
    asked = {"query": expression, "start": start, "end": end, "step": step}
    answer = client.get("/api/v1/query_range", params=asked)
    assert answer.is_success, (expression, answer.text)
    found: list[Any] = answer.json()["data"]["result"]
    return found
