"""Looks each locked package up in a database of known vulnerabilities: `python -m tests.support.audit`.

pip-audit asks PyPI's, else OSV's. By itself it calls a package clean that the database does not know, so that an index
without such a database makes everything clean: here, what was not audited is counted and said in a line of capitals. It
fails only where a vulnerability is known. It ends within 20 seconds, whatever the network does.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
LOCKS = (CHECKOUT / "requirements.lock", CHECKOUT / "constraints.txt")
LIMIT_SECONDS = 20.0
_ANSWER_SECONDS = 4  # for a connection, and for each answer
_AT_ONCE = 4
_PROBES = 3  # a database that knows none of so many is none
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([\w.!+-]+)")
# Vulnerabilities that cannot be reached through us and have no fix yet: identifier and reason.
HARMLESS: dict[str, str] = {}


@dataclass
class Audit:
    """What came out: a sentence for each known vulnerability, the packages looked up, and why others were not."""

    known: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)


def read_pins(paths: list[Path]) -> list[str]:
    """Return `name==version` of every package that is locked, for whatever Python or system."""
    lines = (line for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    found = (_PIN.match(line) for line in lines)
    names = {(re.sub(r"[-_.]+", "-", one[1]).lower(), one[2].removeprefix("v")) for one in found if one}
    return sorted(f"{name}=={version}" for name, version in names)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:120]


def _ask(pins: list[str], service: list[str], seconds: float) -> Audit:
    """Have one pip-audit look up some packages."""
    audit = Audit()
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(pins) + "\n")
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "-r", file.name, "--no-deps", "--disable-pip", "--format=json"]
        command += ["--progress-spinner=off", f"--timeout={_ANSWER_SECONDS}", *service]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=max(0.1, seconds))
            packages = json.loads(done.stdout)["dependencies"]
        except subprocess.TimeoutExpired:
            audit.reasons.append("the time was over")
            return audit
        except (ValueError, KeyError):
            audit.reasons.append(_last_line(done.stderr))
            return audit
    for package in packages:
        if "skip_reason" in package:
            audit.reasons.append(package["skip_reason"])
            continue
        audit.done.add(f"{package['name']}=={package['version']}")
        for one in package["vulns"]:
            names = sorted({one["id"], *one["aliases"]})
            if not HARMLESS.keys() & {*names}:
                fixed = f"fixed in {', '.join(one['fix_versions'])}" if one["fix_versions"] else "with no fix yet"
                audit.known.append(f"{package['name']} {package['version']} has {', '.join(names)}, {fixed}")
    return audit


def look_up(pins: list[str], services: list[list[str]], seconds: float) -> Audit:
    """Look up every package at the first service that knows any."""
    deadline = time.monotonic() + seconds
    whole = Audit()
    for service in services:
        asked = _ask(pins[:_PROBES], service, deadline - time.monotonic())
        if not asked.done:
            whole.reasons += asked.reasons
            continue
        parts = [pins[start::_AT_ONCE] for start in range(min(_AT_ONCE, len(pins)))]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            audits = list(pool.map(lambda part, one=service: _ask(part, one, deadline - time.monotonic()), parts))
        for audit in audits:
            whole.known += audit.known
            whole.done |= audit.done
            whole.reasons += audit.reasons
        break
    return whole


def main(argv: list[str] | None = None) -> int:
    """Print each known vulnerability, and loudly what was not looked up; return 1 when there is a vulnerability."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.audit", description=__doc__)
    parser.add_argument("locks", nargs="*", type=Path, default=list(LOCKS), help="files of pins (default: ours)")
    parser.add_argument("--osv-url", help="a database with OSV's API to ask instead")
    options = parser.parse_args(argv)
    pins = read_pins(options.locks)
    own = [["--vulnerability-service=osv", f"--osv-url={options.osv_url}"]]
    services = own if options.osv_url else [["--vulnerability-service=pypi"], ["--vulnerability-service=osv"]]
    audit = look_up(pins, services, LIMIT_SECONDS)
    missing = len(pins) - len(audit.done)
    if missing:
        word = "NOT COMPLETE" if audit.done else "NOT DONE, NO DATABASE OF KNOWN VULNERABILITIES WAS REACHED"
        why = audit.reasons[-1] if audit.reasons else "no reason was given"
        sys.stderr.write(f"AUDIT {word}: {missing} of {len(pins)} locked packages were not looked up ({why})\n")
    for sentence in sorted(set(audit.known)):
        sys.stderr.write(f"{sentence}: `make lock` refreshes the lock\n")
    return 1 if audit.known else 0


if __name__ == "__main__":
    sys.exit(main())
