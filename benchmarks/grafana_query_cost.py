"""The cost of every panel over 24 hours of a Prometheus with 50,000 series. Bar: the slowest within one second.

Usage: python benchmarks/grafana_query_cost.py [--series 50000] [--hours 24] [--interval 300] [--history DIRECTORY]

The history has the shapes of the wire contract and every recorded series. It is written again each time: a sample every
five minutes ends within five minutes, `--interval 60` (Prometheus' own default) takes about a quarter of an hour and
`--interval 15` three quarters (and 7 GB of memory while it is written).
With `--history DIRECTORY` it is written there once and kept, so that another Prometheus can be queried on the same one:
`--prometheus PROGRAM`. Each query is sent as Grafana sends it: the step of a panel as wide as it is on a screen of
1,600 pixels, every variable at its default. A panel's cost is the sum of its queries, the median of three rounds.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from grafana_history import CHECKOUT, list_series, write_history

BAR_SECONDS = 1.0
SCREEN_PIXELS = 1_600
ROUNDS = 3
# Grafana rounds the step to one of these.
STEPS = (1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600)


def main() -> int:
    """Write the history, query a Prometheus on it, and print the slowest panels; return 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=50_000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--interval", type=int, default=300, help="seconds between two samples")
    parser.add_argument("--history", type=Path, help="where the history is written once, and kept")
    parser.add_argument(
        "--prometheus", default=_find("prometheus"), help="the Prometheus to query (default: %(default)s)"
    )
    parser.add_argument("--write-only", action="store_true", help="write the history and run no query")
    options = parser.parse_args()
    promtool = _find("promtool")
    if options.prometheus is None or promtool is None:
        print("prometheus and promtool are neither on PATH nor in .perfloop/bin: run `make tools`", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="perfloop-history-") as temporary:
        directory = options.history or Path(temporary)
        end = _prepare(promtool, directory, options)
        return 0 if options.write_only else _measure(options.prometheus, directory, end, options)


def _prepare(promtool: str, directory: Path, options: argparse.Namespace) -> int:
    """Write the history unless the directory has one; return the time at which it ends, in Unix seconds."""
    wanted = {"series": options.series, "hours": options.hours, "interval": options.interval}
    facts = directory / "history.json"
    if facts.exists():
        kept: dict[str, int] = json.loads(facts.read_text(encoding="utf-8"))
        if {name: kept[name] for name in wanted} != wanted:
            raise SystemExit(f"{facts} says {kept}, not {wanted}: name another directory")
        return kept["end"]
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    series = list_series(options.series)
    end = write_history(promtool, directory, series=series, hours=options.hours, interval=options.interval)
    print(f"{len(series):,} series over {options.hours} h written in {time.monotonic() - began:.0f} s", flush=True)
    facts.write_text(json.dumps(wanted | {"end": end}), encoding="utf-8")
    return end


def _find(name: str) -> str | None:
    own = CHECKOUT / ".perfloop" / "bin" / name
    return shutil.which(name) or (str(own) if own.exists() else None)


def _measure(prometheus: str, directory: Path, end: int, options: argparse.Namespace) -> int:
    url = "http://127.0.0.1:19389"
    (directory / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n", encoding="utf-8")
    command = [
        prometheus,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=90d",
        # The blocks stay as they were written: no compaction runs during the queries.
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(url)
            return _report(_query_all(url, end - options.interval, options))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{url}/-/ready", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("Prometheus was not ready within a minute")


def _query_all(url: str, end: int, options: argparse.Namespace) -> list[tuple[float, str, int]]:
    costs = []
    with httpx.Client(base_url=url, timeout=120) as client:
        for file in sorted((CHECKOUT / "grafana" / "dashboards").glob("*.json")):
            board = json.loads(file.read_text(encoding="utf-8"))
            for panel in (one for row in board["panels"] for one in (row, *row.get("panels", ()))):
                if panel.get("targets"):
                    rounds = [_cost(client, board, panel, end, options) for _ in range(ROUNDS)]
                    seconds = statistics.median(cost for cost, _ in rounds)
                    costs.append((seconds, f"{board['uid']}: {panel['title']}", rounds[0][1]))
    return sorted(costs, reverse=True)


def _cost(
    client: httpx.Client, board: dict[str, Any], panel: dict[str, Any], end: int, options: argparse.Namespace
) -> tuple[float, int]:
    pixels = panel.get("maxDataPoints") or panel["gridPos"]["w"] / 24 * SCREEN_PIXELS
    step = max(next(s for s in STEPS if s >= options.hours * 3600 / pixels * 0.75), options.interval)
    values = {
        v["name"]: v.get("allValue") or v.get("current", {}).get("value", "") for v in board["templating"]["list"]
    }
    values |= {
        "__rate_interval": f"{max(step + options.interval, 4 * options.interval)}s",
        "__range": f"{options.hours}h",
        "__interval": f"{step}s",
    }
    series, began = 0, time.perf_counter()
    for target in panel["targets"]:
        expression = re.sub(r"\$(\w+)", lambda match: values.get(match.group(1), match.group(0)), target["expr"])
        query: dict[str, str | float] = {"query": expression, "time": end}
        path = "/api/v1/query"
        if not target.get("instant"):
            path = "/api/v1/query_range"
            query = {"query": expression, "start": end - options.hours * 3600, "end": end, "step": step}
        answer = client.post(path, data=query)
        if answer.is_error:
            raise SystemExit(f"{board['uid']}: {panel['title']}: {answer.text}")
        series += len(answer.json()["data"]["result"])
    return time.perf_counter() - began, series


def _report(costs: list[tuple[float, str, int]]) -> int:
    print(f"{'seconds':>8}  {'series':>6}  panel")
    for seconds, panel, series in costs[:15]:
        print(f"{seconds:8.3f}  {series:6}  {panel}")
    slowest = costs[0][0]
    over = sum(seconds > BAR_SECONDS for seconds, _, _ in costs)
    median = statistics.median(seconds for seconds, _, _ in costs)
    empty = sum(series == 0 for _, _, series in costs)
    verdict = "met" if slowest <= BAR_SECONDS else f"missed by {over} panels"
    print(f"{len(costs)} panels ({empty} find nothing here), median {median * 1000:.0f} ms")
    print(f"slowest panel {slowest:.2f} s; bar {BAR_SECONDS:g} s: {verdict}")
    return 0 if slowest <= BAR_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
