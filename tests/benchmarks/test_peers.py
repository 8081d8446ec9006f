"""The environments of the benchmarks' peers: each can be installed, and a missing one is named."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

# What pip says where the registry cannot be reached; anything else is a requirement that cannot be met.
UNREACHABLE = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ProxyError|from versions: none\)")
PEERS = ("instrumentator", "locust", "otava", "ruptures", "schemathesis", "statsforecast")


@pytest.fixture
def peers(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as a benchmark imports it: from its own directory."""
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    import peers

    return peers


def resolve(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Let pip resolve requirements for an empty environment without installing anything."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--ignore-installed"]
    return subprocess.run([*command, "--quiet", *arguments], capture_output=True, text=True, check=False)


def test_every_file_is_a_peer(peers: ModuleType) -> None:
    """The files in benchmarks/peers are the environments."""
    assert peers.list_peers() == list(PEERS)


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_an_environment_resolves(peers: ModuleType, peer: str) -> None:
    """Pip finds one set of packages that meets each environment's requirements on this Python."""
    done = resolve(peers.requirements(peer))
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"the package registry is not reachable: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_conflict_is_found(tmp_path: Path) -> None:
    """Requirements that contradict each other do not resolve, so the check above can fail."""
    (tmp_path / "conflict.txt").write_text("apache-otava==0.8.0\nnumpy==2.4.6\n")
    done = resolve(["--requirement", str(tmp_path / "conflict.txt")])
    if UNREACHABLE.search(done.stderr):
        pytest.skip("the package registry is not reachable")
    assert done.returncode == 1
    assert "conflict" in done.stderr


def test_a_missing_environment_names_the_command(
    peers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark without its peer ends with a sentence that says how to install it."""
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path)
    with pytest.raises(SystemExit, match="the environment of otava is not set up: run `make setup-bench`"):
        peers.interpreter("otava")


def test_an_environment_is_stale_after_its_file_changed(
    peers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment counts as set up only while its file is the one it was made from."""
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path / "bench")
    monkeypatch.setattr(peers, "HERE", tmp_path)
    (tmp_path / "peers").mkdir()
    file = tmp_path / "peers" / "ruptures.txt"
    file.write_text("ruptures==1.1.10\n")
    (tmp_path / "bench" / "ruptures").mkdir(parents=True)
    (tmp_path / "bench" / "ruptures" / "fingerprint").write_text(peers._fingerprint("ruptures"))
    assert peers.has_peer("ruptures")
    file.write_text("ruptures==1.1.9\n")
    assert not peers.has_peer("ruptures")


def test_an_unknown_peer_is_reported(peers: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A name without a file is an error that lists the peers there are."""
    assert peers.main(["nobody"]) == 2
    assert "unknown peer nobody; there are instrumentator, locust, otava, ruptures" in capsys.readouterr().err
