"""Dask clusters, as every program's `--dask` takes them: where one is, its certificates, and whether its parts fit.

Works without Dask, so that a program can say that it is missing.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from perfloop_base.addresses import parse_address
from perfloop_base.errors import ConfigError
from perfloop_base.visible import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

LOCAL = "local"  # processes of this machine
# Dask opens ports for pages in any case: on loopback, whichever are free, and (dask.config) without a page.
LOCAL_PORTS = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
NO_PAGES: Mapping[str, Sequence[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
PACKAGE = "perfloop"
_MAJOR_MINOR = 2
_NAMES = {PACKAGE: "Perfloop", "python": "Python", "distributed": "Dask's distributed"}


def parse_cluster(text: str) -> str:
    """Return the address of a Dask scheduler, `tcp://HOST:PORT` or `tls://HOST:PORT`, or `local`.

    Raises:
        ValueError: One sentence with the value and the rule.
    """
    if text == LOCAL:
        return text
    scheme, found, place = text.partition("://")
    rule = f"{brief(text)} is not the address of a Dask scheduler: write tcp://HOST:PORT, tls://HOST:PORT, or local"
    if not found or scheme not in {"tcp", "tls"} or "/" in place:
        raise ValueError(rule)
    try:
        address = parse_address(place)
    except ValueError:
        raise ValueError(rule) from None
    if not address.host or not address.port:
        raise ValueError(rule)
    return text


def require_dask() -> None:
    """Refuse to go on without Dask, which few installations have and which takes a second to import.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec("distributed") is None:
        raise ConfigError("--dask: distributed is not installed: `pip install 'perfloop[dask]'` installs it")


def read_certificates(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> dict[str, str]:
    """Return what Dask's `Security` takes; empty for a scheduler at tcp://."""
    named = {"tls_ca_file": ca_file, "tls_client_cert": cert_file, "tls_client_key": key_file}
    return {name: str(path) for name, path in named.items() if path is not None}


def find_problems(cluster: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> list[str]:
    """Return every rule that an address and the files of certificates break together, a sentence each."""
    files = {"--dask.tls-ca-file": ca_file, "--dask.tls-cert-file": cert_file, "--dask.tls-key-file": key_file}
    given = {name: path for name, path in files.items() if path is not None}
    if not cluster.startswith("tls://"):
        return [f"{name} goes with --dask tls://HOST:PORT" for name in given]
    missing = [name for name in ("--dask.tls-ca-file", "--dask.tls-cert-file") if name not in given]
    problems = [f"--dask {cluster} needs {name}" for name in missing]
    return problems + [f"{name}: {path} cannot be read" for name, path in given.items() if not path.is_file()]


def find_workers(cluster: str, versions: Mapping[str, Any], program: str, *more: str) -> list[str]:
    """Return the addresses of the workers, in an order that every program finds.

    Args:
        cluster: The address of the scheduler.
        versions: What Dask's `Client.get_versions` returns, with PACKAGE and `more` among its packages.
        program: The program's extra, which a worker without Perfloop needs.
        more: Further packages that all parts must have in one version.

    Raises:
        ConfigError: There are none, or they, or the scheduler, run other versions than this program; every problem.
    """
    ours, workers = versions["client"]["packages"], versions["workers"]
    if not workers:
        raise ConfigError(f"--dask {cluster}: the cluster has no workers: `dask worker {cluster}` starts one")
    named = [
        ("the scheduler", versions["scheduler"]),
        *((f"the worker {name}", workers[name]) for name in sorted(workers)),
    ]
    problems = [one for name, part in named for one in differences(name, ours, part["packages"], program, *more)]
    if problems:
        raise ConfigError(problems)
    return sorted(workers)


def differences(
    part: str, ours: Mapping[str, str | None], theirs: Mapping[str, str | None], program: str, *more: str
) -> list[str]:
    """Return what keeps a part of a cluster from running this program's code, a sentence each."""
    if theirs.get(PACKAGE) is None:
        release = ours.get(PACKAGE)
        return [f"{part} has no Perfloop: pip install 'perfloop[{program},dask]=={release}' installs it there"]
    found = [(_NAMES.get(what, what), _version(what, ours), _version(what, theirs)) for what in (*_NAMES, *more)]
    return [
        f"{part} has {name} {their or 'none'}, and this machine {our}: all of them need the same one"
        for name, our, their in found
        if our != their
    ]


def _version(what: str, packages: Mapping[str, str | None]) -> str | None:
    """Return a package's version; of Python the feature release, within which bytecode and pickles are the same."""
    version = packages.get(what)
    return ".".join(version.split(".")[:_MAJOR_MINOR]) if version and what == "python" else version
