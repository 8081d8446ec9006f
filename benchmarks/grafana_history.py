"""A day of a Prometheus with 50,000 series: the shapes of the wire contract, many services and machines of each."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from perfloop_base.buckets import DEFAULT
from perfloop_base.exposition import format_number

CHECKOUT = Path(__file__).resolve().parents[1]
BLOCK_SECONDS = 7_200
SERVICES = 30
# As our programs export them: a histogram has 166.
BUCKETS = (*(format_number(bound) for bound in DEFAULT), "+Inf")
# How many values each label has on one service or machine; a label that is not here has two.
LABEL_VALUES: dict[str, tuple[str, ...]] = {
    "http_route": ("/health", "/api/v1/search", "/api/v1/process/text", "/v1/chat/completions", "/api/v1/agents"),
    "http_request_method": ("POST",),
    "http_response_status_code": ("200", "500"),
    "db_system_name": ("postgresql", "vector"),
    "db_operation_name": ("SELECT", "search"),
    "gen_ai_request_model": ("llama",),
    "gen_ai_token_type": ("input", "output"),
    "cache": ("redis",),
    "operation": ("get", "set"),
    "pool": ("default",),
    "state": ("used", "idle", "open", "validated"),
    "signal": ("api_response_time_p95", "error_ratio", "db_query_time_p95", "cpu_used_ratio", "memory_used_ratio"),
    "title": ("Add an index",),
    "category": ("database",),
    "priority": ("high",),
    "bound": ("lower", "expected", "upper"),
    "outcome": ("ok", "timeout", "complete"),
    "endpoint": ("GET /health", "POST /api/v1/search", "POST /v1/chat/completions"),
    "service": tuple(f"svc{number}" for number in range(SERVICES)),
    "cpu": ("0", "1", "2", "3"),
    "mode": ("user", "system", "idle", "iowait"),
    "device": ("vda", "eth0"),
    "mountpoint": ("/", "/data"),
    "slo": ("availability",),
    "host": ("one",),
}
# The labels that the level of a recorded series stands for: level:metric:operations.
LEVELS = {
    "route": "http_route",
    "db": "db_system_name",
    "model": "gen_ai_request_model",
    "cache": "cache",
    "pool": "pool",
    "device": "device",
    "mountpoint": "mountpoint",
    "slo": "slo",
    "host": "host",
}
MEMORY = ("MemTotal", "MemAvailable", "MemFree", "Cached")


def list_series(most: int) -> list[str]:
    """The text of `most` series, the recorded ones first: none of those may be missing."""
    found = [series for number in range(SERVICES) for series in _recorded(number)]
    found += [*_of_program("analyzer", "analyzer", 19110), *_of_program("loadgen", "loadgen", 19120)]
    for number in itertools.count():
        own = [*_of_program("demo", f"svc{number}", 8000), *_of_program("exporter", f"svc{number}", 9100)]
        found = list(dict.fromkeys([*found, *own]))
        if len(found) >= most:
            return found[:most]
    raise AssertionError("unreachable: count() never ends")


def _recorded(number: int) -> list[str]:
    names = [
        rule["record"]
        for file in sorted((CHECKOUT / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    target = f'service="svc{number}",instance="10.0.0.{number}:9100"'
    found = []
    for name in names:
        labels = [LEVELS[part] for part in name.split(":")[0].split("_") if part in LEVELS]
        found += [f"{name}{{{target}{extra}}} " for extra in _combinations(labels)]
    return found


def _of_program(program: str, service: str, port: int) -> list[str]:
    document: dict[str, Any] = yaml.safe_load(
        (CHECKOUT / "tests" / "wire" / "contract.yml").read_text(encoding="utf-8")
    )
    target = f'job="{program}",service="{service}",instance="10.0.0.1:{port}"'
    found = [f"up{{{target}}} "]
    for metric in document["programs"][program]:
        if not metric["name"].isidentifier():
            continue
        labels = [label for label in metric.get("labels", ()) if not label.endswith("?")]
        own = target if "service" not in labels else f'job="{program}",instance="10.0.0.1:{port}"'
        for extra in _combinations(labels):
            found += _lines(metric["name"], metric["type"], own + extra)
    if program == "exporter":
        found += [f"node_memory_{name}_bytes{{{target}}} " for name in MEMORY]
    return found


def _combinations(labels: list[str]) -> list[str]:
    values = [LABEL_VALUES.get(label, ("a", "b")) for label in labels]
    return [
        "".join(f',{label}="{value}"' for label, value in zip(labels, chosen, strict=True))
        for chosen in itertools.product(*values)
    ]


def _lines(name: str, kind: str, labels: str) -> list[str]:
    if kind != "histogram":
        return [f"{name}{{{labels}}} "]
    buckets = [f'{name}_bucket{{{labels},le="{bound}"}} ' for bound in BUCKETS]
    return [*buckets, f"{name}_sum{{{labels}}} ", f"{name}_count{{{labels}}} "]


def write_history(promtool: str, directory: Path, *, series: list[str], hours: int, interval: int) -> int:
    """Fill `directory` with blocks that end now, and return that moment."""
    end = int(time.time()) // BLOCK_SECONDS * BLOCK_SECONDS
    for start in range(end - hours * 3600, end, BLOCK_SECONDS):
        text = directory / "block.om"
        _write_block(text, series, range(start, start + BLOCK_SECONDS, interval))
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(directory / "data")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        text.unlink()
    return end


def _write_block(file: Path, series: list[str], times: range) -> None:
    counters = [[f"{(at % 10**7) * (step + 1) / 10:.1f} {at}\n" for at in times] for step in range(len(BUCKETS))]
    gauges = [[f"{(at // times.step * (step + 3) % 97) / 97:.3f} {at}\n" for at in times] for step in range(5)]
    with file.open("w", encoding="ascii") as out:
        for number, prefix in enumerate(series):
            name = prefix.partition("{")[0]
            rising = name.endswith(("_total", "_bucket", "_sum", "_count"))
            values = counters[number % len(counters)] if rising else gauges[number % len(gauges)]
            out.write(prefix + prefix.join(values))
        out.write("# EOF\n")
