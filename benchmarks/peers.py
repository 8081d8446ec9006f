"""Environments of the peers that the benchmarks measure.

Usage: python benchmarks/peers.py [NAME ...]    (`make setup-bench` makes all of them)

Each file in benchmarks/peers/ is one environment under .perfloop/bench/, because peers pin libraries against each other
and against ours: Apache Otava 0.8 requires one exact numpy. An environment is made again when its file changes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
ENVIRONMENTS = CHECKOUT / ".perfloop" / "bench"
# Peers that are measured in one process with Perfloop's own code.
PERFLOOP_INSIDE = {"instrumentator"}


class PeerMissingError(SystemExit):
    """A benchmark was started without the environment of its peer; the message names the command that makes it."""


class ChangePoints(NamedTuple):
    """The indices that a peer found in each series, and the CPU seconds that it needed."""

    found: list[list[int]]
    cpu_seconds: float


def list_peers() -> list[str]:
    """Return the names of all peer environments."""
    return sorted(path.stem for path in HERE.glob("peers/*.txt"))


def requirements(peer: str) -> list[str]:
    """Return pip's arguments for an environment."""
    own = ["--editable", str(CHECKOUT)] if peer in PERFLOOP_INSIDE else []
    return ["--requirement", str(HERE / "peers" / f"{peer}.txt"), *own]


def has_peer(peer: str) -> bool:
    """Return whether the environment exists and matches its file."""
    stamp = ENVIRONMENTS / peer / "fingerprint"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _fingerprint(peer)


def interpreter(peer: str) -> str:
    """Return the Python of a peer's environment.

    Raises:
        PeerMissingError: if the environment was not made, or not since its file changed.
    """
    if not has_peer(peer):
        raise PeerMissingError(f"the environment of {peer} is not set up: run `make setup-bench`")
    return str(ENVIRONMENTS / peer / "bin" / "python")


def find_change_points(peer: str, series: Iterable[np.ndarray], method: str = "") -> ChangePoints:
    """Return the change points that `otava` or `ruptures` finds in series without gaps.

    `method` is one of the names in peers/change_points.py, the peer's own name by default.
    """
    import numpy as np

    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, *series)
        file.flush()
        command = [interpreter(peer), str(HERE / "peers" / "change_points.py"), method or peer, file.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer = json.loads(done.stdout)
    return ChangePoints(answer["found"], answer["cpu_seconds"])


def run_inside(peer: str, script: str) -> None:
    """Start a benchmark again with the peer's Python and exit with its code, unless that is the one running."""
    python = interpreter(peer)
    if Path(sys.prefix).resolve() != Path(python).parents[1].resolve():
        sys.exit(subprocess.run([python, script, *sys.argv[1:]], check=False).returncode)


def set_up(peer: str) -> None:
    """Make the environment of one peer.

    Raises:
        subprocess.CalledProcessError: if pip cannot install it; pip's own words are on standard error.
    """
    target = ENVIRONMENTS / peer
    shutil.rmtree(target, ignore_errors=True)
    print(f"installing the peer {peer} into {target.relative_to(CHECKOUT)}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
    pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, *requirements(peer)], check=True)
    (target / "fingerprint").write_text(_fingerprint(peer), encoding="utf-8")


def _fingerprint(peer: str) -> str:
    text = (HERE / "peers" / f"{peer}.txt").read_bytes()
    if peer in PERFLOOP_INSIDE:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        text += " ".join(project["dependencies"]).encode()
    return hashlib.sha256(text + sys.version.encode()).hexdigest()


def main(names: list[str]) -> int:
    """Make the environments that are missing; all of them without names."""
    unknown = sorted(set(names) - set(list_peers()))
    if unknown:
        print(f"unknown peer {', '.join(unknown)}; there are {', '.join(list_peers())}", file=sys.stderr)
        return 2
    failed = []
    for peer in names or list_peers():
        if not has_peer(peer):
            try:
                set_up(peer)
            except subprocess.CalledProcessError:
                failed.append(peer)
    if failed:
        print(f"not installed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
