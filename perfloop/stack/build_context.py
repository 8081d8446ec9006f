"""The directory from which the image of the programs is built, where the configuration is not a checkout.

It is laid out as the Dockerfile expects a checkout: each package in its directory. The packages are those that run now,
so that a stack in containers is the version that is installed.
"""

from __future__ import annotations

import filecmp
import shutil
from importlib.util import find_spec
from pathlib import Path

from perfloop.stack.errors import StackError
from perfloop_base.shipped import shipped_root

# Where the Dockerfile looks for each package.
_PACKAGES = {
    "perfloop": "perfloop",
    "perfloop_base": "base/perfloop_base",
    "perfloop_exporter": "exporter/perfloop_exporter",
    "perfloop_analyzer": "analyzer/perfloop_analyzer",
    "perfloop_loadgen": "loadgen/perfloop_loadgen",
    "perfloop_rules": "prometheus/perfloop_rules",
    "perfloop_boards": "grafana/perfloop_boards",
    "perfloop_inbox": "alertmanager/perfloop_inbox",
    "perfloop_demo": "demo/perfloop_demo",
}
_FILES = (
    "Dockerfile",
    "requirements.lock",
    "demo/steady.yml",
    "prometheus/thresholds.yml",
    "prometheus/slos.yml",
)


def is_complete(directory: Path) -> bool:
    """Return whether the image can be built from a directory as it is: a checkout."""
    return (directory / "Dockerfile").is_file() and (directory / "base" / "perfloop_base").is_dir()


def _package_directory(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(f"the package {name} is not installed: `pip install 'perfloop[all]'` installs it")
    return Path(spec.origin).parent


def _same(one: Path, other: Path) -> bool:
    if not other.is_dir():
        return False
    found = filecmp.dircmp(one, other)
    if found.left_only or found.right_only or found.funny_files:
        return False
    _, different, errors = filecmp.cmpfiles(one, other, found.common_files, shallow=False)
    return not different and not errors and all(_same(one / name, other / name) for name in found.common_dirs)


def assemble(target: Path) -> Path:
    """Write the directory to build from and return it; one that is the same already is left untouched.

    Raises:
        StackError: a package is not installed.
    """
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for package, place in _PACKAGES.items():
        # The configuration in the base package is not for the image, which has the user's own mounted.
        data = ["data"] if package == "perfloop_base" else []
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", *data)
        shutil.copytree(_package_directory(package), fresh / place, ignore=ignored)
    for name in _FILES:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shipped_root() / name, fresh / name)
    if _same(fresh, target):
        shutil.rmtree(fresh)
        return target
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return target
