"""Proofs on the demo's faults: proved gain beside expected, replayed rates beside the original's, and what is no proof.

Usage: python benchmarks/prove.py [--pairs 5 --block 15 --settle 5] [--nothing 2 --wrong 2] [--only slow_queries ...]
Starts its own demo service, exporter, load, Prometheus and analyzer on free ports (analyzer_faults.py). Each fault
stands for --minutes; then its first recommendation is proved by `perfloop prove` with the demo's own switch as apply
and revert command. `--nothing` proofs change nothing (the command does nothing), `--wrong` proofs change something
else. Bars: each fault proved, expected within 15 points of proved, each route's replayed rate within 5% of the
original's; no gain claimed where nothing changed; wrong changes refuted in 95%.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from analyzer_faults import FAULTS, ROOT, WARM_UP, Stack, fresh, read, set_fault, settle, start

from perfloop.prove.proof import INDIVISIBLE, SAME_LOAD

PROVED_FAULTS = ("slow_queries", "cache_off", "slow_first_token")
# For each fault a change that is none of its cure.
WRONG = {"slow_queries": {"slow_queries": 0.5, "errors": 0.0001}}
POINTS = 0.15
PATIENCE = 60.0
ENOUGH = 0.95


def command(stack: Stack, setting: dict[str, Any] | None) -> str:
    """Return the shell command that sets the demo's faults; None heals all."""
    heal = f"curl -fsS -X DELETE {stack.url('demo')}/faults"
    if setting is None:
        return heal
    body = shlex.quote(json.dumps(setting))
    return f"{heal} && curl -fsS -X PUT -H 'Content-Type: application/json' -d {body} {stack.url('demo')}/faults"


def await_recommendation(stack: Stack, name: str, since: float) -> dict[str, Any]:
    """Return the first recommendation of a fault's rules."""
    fault, end = FAULTS[name], time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(2)
        incidents = fresh(read(stack.url("analyzer") + "/api/v1/incidents")["incidents"], since, fault.shows)
        standing = read(stack.url("analyzer") + "/api/v1/recommendations?standing=true")
        known = {one["id"] for one in incidents}
        for one in standing:
            if one["rule"] in fault.rules and one["values"]["incident"] in known:
                return one
    raise SystemExit(f"{name}: no recommendation within {PATIENCE:g} s")


def prove(stack: Stack, identifier: str, apply: str, revert: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run `perfloop prove` and return its JSON."""
    flags = [
        *("--url", stack.url("demo"), "--apply", apply, "--revert", revert, "--json"),
        *("--pairs", str(arguments.pairs), "--block", f"{arguments.block:g}s", "--settle", f"{arguments.settle:g}s"),
        *("--prometheus.url", stack.url("prometheus"), "--web.url", stack.url("analyzer")),
        *("--web.token-file", str(stack.home / "token"), "--out", str(stack.home / "proofs")),
        *("--skip-route", "/faults"),  # what sets the fault is no load of the incident
    ]
    done = subprocess.run(
        [sys.executable, "-m", "perfloop", "prove", identifier, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    start_of_json = done.stdout.find("{\n")
    if start_of_json < 0:
        raise SystemExit(f"perfloop prove ended with {done.returncode}: {done.stderr}{done.stdout}")
    found: dict[str, Any] = json.loads(done.stdout[start_of_json:])
    return found


def accept(stack: Stack, identifier: str) -> None:
    """Accept a recommendation: its evidence stays as it is from then on."""
    headers = {"Authorization": f"Bearer {(stack.home / 'token').read_text()}"}
    httpx.post(
        f"{stack.url('analyzer')}/api/v1/recommendations/{identifier}/accept", headers=headers
    ).raise_for_status()


def row(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return and print what counts of one proof."""
    expected, routes = found["expected"] or {}, found["load"]["routes"]
    divisible = [one for one in routes if SAME_LOAD * one["expected"] >= INDIVISIBLE]
    worst = max((abs(one["count"] / one["expected"] - 1) for one in divisible), default=0.0)
    result = {
        "name": name,
        "verdict": found["verdict"],
        "gain": found.get("gain"),
        "bounds": [found.get("low"), found.get("high")],
        "expected": [expected.get(key) for key in ("ratio", "low", "high")],
        "inside": found["inside_expected"],
        "worst_rate": worst,
        "side_effects": [f"{one['signal']} {one['gain']:+.0%}" for one in found["side_effects"]],
        "words": found["words"],
    }
    print(json.dumps(result), flush=True)
    return result


def with_fault(stack: Stack, name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Let a fault stand, prove its cure, and what is none; return the rows."""
    settle(stack)
    since, setting = time.time(), FAULTS[name].setting
    set_fault(stack, setting)
    recommendation = await_recommendation(stack, name, since)
    time.sleep(max(0.0, 60 * arguments.minutes - (time.time() - since)))
    accept(stack, recommendation["id"])
    stand, heal, nothing = command(stack, setting), command(stack, None), "true"
    rows = [row(name, prove(stack, recommendation["id"], heal, stand, arguments))]
    # The fault stands again: what was reverted last is the side without the change.
    rows += [
        row(f"{name}, nothing changed", prove(stack, recommendation["id"], nothing, nothing, arguments))
        for _ in range(arguments.nothing)
    ]
    wrong = command(stack, WRONG.get(name, setting | {"errors": 0.0001}))
    rows += [
        row(f"{name}, something else changed", prove(stack, recommendation["id"], wrong, stand, arguments))
        for _ in range(arguments.wrong)
    ]
    set_fault(stack, None)
    return rows


def report(rows: list[dict[str, Any]]) -> int:
    """Print the bars; return 1 if one is missed."""
    cures = [one for one in rows if "," not in one["name"]]
    nothing = [one for one in rows if one["name"].endswith("nothing changed")]
    wrong = [one for one in rows if one["name"].endswith("something else changed")]
    near = [one for one in cures if one["expected"][0] is not None and abs(one["expected"][0] - one["gain"]) <= POINTS]
    same = [one for one in rows if one["worst_rate"] <= 0.05]
    claimed = [one for one in nothing if one["verdict"] == "proved"]
    refuted = [one for one in wrong if one["verdict"] == "refuted"]
    proved = [one for one in cures if one["verdict"] == "proved"]
    print(f"proved {len(proved)}/{len(cures)}, expected within 15 points of proved {len(near)}/{len(cures)}")
    print(f"every route within 5% of its rate in {len(same)}/{len(rows)}")
    print(f"a gain claimed where nothing changed {len(claimed)}/{len(nothing)}, refuted {len(refuted)}/{len(wrong)}")
    met = len(proved) == len(near) == len(cures) and len(same) == len(rows) and not claimed
    met = met and len(refuted) >= ENOUGH * len(wrong)
    print("bars met" if met else "bars missed")
    return 0 if met else 1


def main() -> int:
    """Print one line a proof, then the bars; return 1 if one is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=list(PROVED_FAULTS), choices=list(FAULTS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--block", type=float, default=15.0, help="seconds")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long each fault stands before it is proved")
    parser.add_argument("--nothing", type=int, default=1, help="proofs of no change, for each fault")
    parser.add_argument("--wrong", type=int, default=1, help="proofs of a wrong change, for each fault")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home = Path(tempfile.mkdtemp(prefix="perfloop-prove-"))
    token = home / "token"
    token.write_text("benchmark-token")
    os.environ["PERFLOOP_HOME"] = str(home)
    stack = start(home, f"--web.token-file={token}")
    try:
        time.sleep(WARM_UP)
        rows = [one for name in arguments.only for one in with_fault(stack, name, arguments)]
    finally:
        stack.stop()
    shutil.rmtree(home, ignore_errors=True)
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
