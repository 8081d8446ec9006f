"""Local stand-ins for the public images: built once from Debian's packages, kept as images tagged by their recipe."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "standins"
SUITE = "bookworm"
NAMES = ("prometheus", "alertmanager", "postgres", "redis")
CLUSTER = ("vminsert", "vmselect", "vmstorage")
_RECIPE = "1"  # raise it when `ensure_base` or `_furnish` changes what lies in the base
_PACKAGES = "python3,python3-venv,ca-certificates,wget"
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout", "default-timeout")


class StandInError(RuntimeError):
    """A stand-in could not be built; the message ends with the tool's own words."""


def _run(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        message = f"{' '.join(command[:3])} ended with {done.returncode}: {(done.stderr or done.stdout)[-600:]}"
        raise StandInError(message)
    return str(done.stdout)


def has_image(tag: str) -> bool:
    """Return whether the engine has an image of this tag."""
    return subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False).returncode == 0


def _digest(*pieces: bytes) -> str:
    return hashlib.sha256(b"\0".join(pieces)).hexdigest()[:12]


def pip_settings() -> str:
    """Return how this machine's pip reaches its index, as the text of a `pip.conf`."""
    listed = dict(re.findall(r"^[^.]+\.([\w-]+)='(.*)'$", _run("python3", "-m", "pip", "config", "list"), re.MULTILINE))
    listed |= {
        name: value
        for name in _PIP_SETTINGS
        if (value := os.environ.get(f"PIP_{name.upper().replace('-', '_')}")) is not None
    }
    lines = [f"{name} = {value}" for name, value in sorted(listed.items()) if name in _PIP_SETTINGS]
    return "\n".join(["[global]", *lines, ""])


def _mirror() -> list[str]:
    sources = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in sources if path.is_file())
    found = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(\S+/debian)/?(?: |$)", text, re.MULTILINE)
    return [found[1]] if found else []


def _furnish(root: Path) -> None:
    """Hand the machine's own package settings to the new system: how to reach the registries, and whom to trust."""
    for directory in ("sources.list.d", "apt.conf.d"):
        shutil.copytree(f"/etc/apt/{directory}", root / "etc/apt" / directory, dirs_exist_ok=True)
    if any((root / "etc/apt/sources.list.d").iterdir()):
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
    for stranger in [*root.glob("etc/apt/apt.conf.d/docker-*"), *root.glob("etc/apt/sources.list.d/*")]:
        if stranger.name.startswith("docker-") or "Signed-By: /usr/share" not in stranger.read_text(encoding="utf-8"):
            stranger.unlink()
    shutil.copyfile(_BUNDLE, root / "etc/ssl/certs/ca-certificates.crt")
    (root / "etc/pip.conf").write_text(pip_settings(), encoding="utf-8")


def base_tag() -> str:
    """Return the tag of the base: it changes with the recipe, the trusted certificates and the index."""
    return "perfloop-standin/base:" + _digest(
        _RECIPE.encode(), _PACKAGES.encode(), SUITE.encode(), pip_settings().encode(), _BUNDLE.read_bytes()
    )


def ensure_base() -> str:
    """Return the tag of a minimal Debian with Python, made with debootstrap when the engine has none yet."""
    tag = base_tag()
    if has_image(tag):
        return tag
    with tempfile.TemporaryDirectory(prefix="perfloop-base-") as directory:
        root = Path(directory) / "root"
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(root), *_mirror())
        _furnish(root)
        archive = Path(directory) / "base.tar"
        _run("tar", "--exclude=./var/cache/apt/archives/*.deb", "-C", str(root), "-cf", str(archive), ".")
        trust = [f"--change=ENV {name}={_BUNDLE}" for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")]
        _run("docker", "import", *trust, str(archive), tag)
    return tag


def ensure(name: str) -> str:
    """Return the tag of the stand-in for one of `NAMES` or `CLUSTER`, built when it is missing."""
    base = ensure_base()
    files = [path.read_bytes() for path in sorted(HERE.iterdir())]
    tag = f"perfloop-standin/{name}:{_digest(base.encode(), *files)}"
    if not has_image(tag):
        build = ("docker", "build", "--quiet", "--target", name, "--build-arg", f"BASE={base}", "--tag", tag, str(HERE))
        _run(*build, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    return tag


def ensure_all() -> dict[str, str]:
    """Return the variables that put every stand-in into docker-compose.yml."""
    images = {f"PERFLOOP_{name.upper()}_IMAGE": ensure(name) for name in NAMES}
    return images | {"PERFLOOP_PYTHON_IMAGE": ensure_base()}


def ensure_cluster() -> dict[str, str]:
    """Return the variables that put stand-ins of a VictoriaMetrics cluster into docker-compose.scale.yml.

    Debian has the single program: it is the storage, behind two gateways at the cluster's own paths. The real cluster
    runs with the file's flags in tests/perfloop/test_cluster.py, where its programs are.
    """
    return {f"PERFLOOP_{name.upper()}_IMAGE": ensure(name) for name in CLUSTER}
