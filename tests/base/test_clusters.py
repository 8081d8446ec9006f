"""Whether the parts of a Dask cluster fit together: one sentence for each that does not, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.clusters import find_problems, find_workers, read_certificates
from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

OURS = {"perfloop": "1.0", "python": "3.11.7.final.0", "distributed": "2026.7.0", "numpy": "2.1.0"}
CLUSTER = "tcp://h:8786"


def _versions(scheduler: dict[str, Any], **workers: dict[str, Any]) -> dict[str, Any]:
    return {
        "client": {"packages": OURS},
        "scheduler": {"packages": OURS | scheduler},
        "workers": {name: {"packages": OURS | one} for name, one in workers.items()},
    }


def test_workers_of_the_same_versions_come_in_one_order() -> None:
    """Whichever order the scheduler names them in."""
    assert find_workers(CLUSTER, _versions({}, b={}, a={"python": "3.11.2.final.0"}), "analyzer", "numpy") == ["a", "b"]


def test_every_part_of_another_version_is_named() -> None:
    """The scheduler too, and of each part every package."""
    found = _versions({"distributed": "2025.1.0"}, b={"numpy": None}, a={"perfloop": None}, c={"numpy": "1.26.4"})
    with pytest.raises(ConfigError) as caught:
        find_workers(CLUSTER, found, "analyzer", "numpy")
    assert caught.value.problems == (
        "the scheduler has Dask's distributed 2025.1.0, and this machine 2026.7.0: all of them need the same one",
        "the worker a has no Perfloop: pip install 'perfloop[analyzer,dask]==1.0' installs it there",
        "the worker b has numpy none, and this machine 2.1.0: all of them need the same one",
        "the worker c has numpy 1.26.4, and this machine 2.1.0: all of them need the same one",
    )


def test_what_only_one_program_needs_is_no_difference_for_the_other() -> None:
    """The load generator computes nothing with numpy that must be the same to the last bit."""
    assert find_workers(CLUSTER, _versions({}, a={"numpy": "1.26.4"}), "loadgen") == ["a"]


def test_certificates_go_with_an_encrypted_address(tmp_path: Path) -> None:
    """Each flag that is missing, that is too many, or that names no file."""
    there, gone = tmp_path / "ca.pem", tmp_path / "gone.pem"
    there.touch()
    assert find_problems("tls://h:1", there, there, None) == []
    assert find_problems("tls://h:1", None, gone, None) == [
        "--dask tls://h:1 needs --dask.tls-ca-file",
        f"--dask.tls-cert-file: {gone} cannot be read",
    ]
    assert find_problems(CLUSTER, there, None, gone) == [
        "--dask.tls-ca-file goes with --dask tls://HOST:PORT",
        "--dask.tls-key-file goes with --dask tls://HOST:PORT",
    ]
    assert read_certificates(there, None, None) == {"tls_ca_file": str(there)}
