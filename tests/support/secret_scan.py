"""Finds secrets in what git tracks: `python -m tests.support.secret_scan`; `--accept` takes what is found for harmless.

The detectors are detect-secrets'; nothing that they find is sent anywhere. What a person has looked at stands in
`.secrets.baseline`, in the format that `detect-secrets audit` reads; lines may move. What a file holds
is looked at once: results lie in `.perfloop`, by the hash of the content.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detect_secrets.__version__ import VERSION
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).parents[2]
BASELINE = ".secrets.baseline"
STATE = ".perfloop"  # ignored by git in this repository
# Digests and pinned versions are what these files consist of; `make lock` writes them.
LEFT_OUT = frozenset({BASELINE, "requirements.lock"})
# Tests are full of made-up passwords and addresses: only what has the form of a key is found there.
GUESSING = frozenset({"Base64HighEntropyString", "BasicAuthDetector", "HexHighEntropyString", "KeywordDetector"})
_HEURISTICS = (
    "allowlist.is_line_allowlisted",
    "heuristic.is_indirect_reference",
    "heuristic.is_likely_id_string",
    "heuristic.is_not_alphanumeric_string",
    "heuristic.is_potential_uuid",
    "heuristic.is_prefixed_with_dollar_sign",
    "heuristic.is_sequential_string",
    "heuristic.is_templated_secret",
)
_LARGEST_CACHE = 5_000  # contents
Finding = dict[str, Any]


def _settings(*, guess: bool = True) -> dict[str, list[dict[str, str]]]:
    """Every detector, or only those of a known form; and no filter that asks somebody whether a secret is valid."""
    known = {kind.__name__ for kind in get_mapping_from_secret_type_to_class().values()}
    detectors = sorted(known if guess else known - GUESSING)
    return {
        "plugins_used": [{"name": name} for name in detectors],
        "filters_used": [{"path": f"detect_secrets.filters.{name}"} for name in _HEURISTICS],
    }


def tracked_files(directory: Path) -> list[str]:
    """Return what git tracks or would track, as paths below `directory`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout.split("\0")
    names = {name for name in listed if name and not name.startswith(f"{STATE}/")}
    return sorted(name for name in names - LEFT_OUT if (directory / name).is_file())


def _scan(path: str, *, guess: bool) -> list[Finding]:
    with transient_settings(_settings(guess=guess)):
        found = [secret.json() for secret in scan_file(path)]
    return sorted(({**one, "filename": ""} for one in found), key=lambda one: (one["line_number"], one["type"]))


def _call(job: Callable[[], list[Finding]]) -> list[Finding]:
    return job()


def _read_cache(path: Path) -> dict[str, list[Finding]]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def scan(directory: Path, names: list[str], cache_file: Path) -> dict[str, list[Finding]]:
    """Return what the detectors find in each file: type, hash and line of every secret, never the secret."""
    known = _read_cache(cache_file)
    own = hashlib.sha256((VERSION + json.dumps([_settings(), _settings(guess=False)])).encode()).hexdigest()[:12]
    # The name is part of the key: what is a secret depends on the kind of file.
    keys = {
        name: f"{own}:{hashlib.sha256(name.encode() + (directory / name).read_bytes()).hexdigest()}" for name in names
    }
    unknown = [name for name in names if keys[name] not in known]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [partial(_scan, str(directory / name), guess=not name.startswith("tests/")) for name in unknown]
        for name, found in zip(unknown, pool.map(_call, jobs, chunksize=8), strict=True):
            known[keys[name]] = found
    if unknown:
        current = {key: known[key] for key in keys.values()}
        older = {key: value for key, value in known.items() if key not in current}
        kept = dict(list(older.items())[-(_LARGEST_CACHE - len(current)) :]) if len(current) < _LARGEST_CACHE else {}
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        cache_file.write_text(json.dumps(kept | current), encoding="utf-8")
    return {name: known[keys[name]] for name in names if known[keys[name]]}


def read_baseline(directory: Path) -> set[tuple[str, str, str]]:
    """Return (file, type, hash) of each finding that a person took for harmless."""
    try:
        results = json.loads((directory / BASELINE).read_text(encoding="utf-8"))["results"]
    except FileNotFoundError:
        return set()
    return {(name, one["type"], one["hashed_secret"]) for name, found in results.items() for one in found}


def write_baseline(directory: Path, found: dict[str, list[Finding]]) -> None:
    """Take all that was found for harmless."""
    results = {name: [{**one, "filename": name} for one in ones] for name, ones in sorted(found.items())}
    document = {"version": VERSION, **_settings(), "results": results}
    (directory / BASELINE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Print each new finding as a line for an editor to jump to; return 1 when there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.secret_scan", description=__doc__)
    parser.add_argument("--directory", type=Path, default=CHECKOUT, help="a git repository (default: this one)")
    parser.add_argument("--accept", action="store_true", help=f"write {BASELINE} with all that is found")
    options = parser.parse_args(argv)
    directory = options.directory.resolve()
    found = scan(directory, tracked_files(directory), directory / STATE / "secret-scan.json")
    if options.accept:
        write_baseline(directory, found)
        return 0
    harmless = read_baseline(directory)
    fresh = [
        f"{name}:{one['line_number']}: {one['type']}"
        for name, ones in found.items()
        for one in ones
        if (name, one["type"], one["hashed_secret"]) not in harmless
    ]
    for line in fresh:
        sys.stderr.write(f"{line}: take it out; what is harmless ends with `# pragma: allowlist secret`\n")
    return 1 if fresh else 0


if __name__ == "__main__":
    sys.exit(main())
