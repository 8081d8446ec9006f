"""`perfloop init`: an editable copy of the configuration, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from perfloop.stack.errors import SettingsError
from perfloop_base.shipped import shipped_root

# What a person may edit, and what Compose reads. The rules' tests and sources go with the rules.
_FILES = (
    "docker-compose.yml",
    "docker-compose.ha.yml",
    "docker-compose.otlp.yml",
    "docker-compose.scale.yml",
    "demo/steady.yml",
    "secrets/README.md",
    "alertmanager/alertmanager.yml",
    "grafana/panels.json",
    "prometheus/prometheus.yml",
    "prometheus/thresholds.yml",
    "prometheus/slos.yml",
    "prometheus/scaling.yml",
    "prometheus/reports.yml",
    "prometheus/remote_write.yml",
    "prometheus/reading.flags",
    "prometheus/runbook.md",
)
_DIRECTORIES = (
    "alertmanager/templates",
    "grafana/dashboards",
    "grafana/export",
    "grafana/provisioning",
    "grafana/tempo",
    "prometheus/alertmanagers",
    "prometheus/alerts",
    "prometheus/packs",
    "prometheus/rules",
    "prometheus/run-targets",
    "prometheus/runbook",
    "prometheus/series",
    "prometheus/spellings",
    "prometheus/targets",
    "prometheus/tests",
)
# What a person's checkout holds beside the committed files: a service's address is not part of a copy.
_OWN_TARGETS = ("*.yml", "*.yaml", "*.json")
# A secret or a run's data is not to be committed with the copy.
_GITIGNORE = "/.env\n/.perfloop/\n/secrets/*\n!/secrets/README.md\n"


def list_copied(root: Path) -> list[Path]:
    """Return the files of a configuration that a copy has, by their path in it."""
    found = [root / name for name in _FILES]
    found += [path for name in _DIRECTORIES for path in sorted((root / name).rglob("*")) if path.is_file()]
    prometheus = root / "prometheus"
    own = {
        path for form in _OWN_TARGETS for name in ("targets", "run-targets") for path in (prometheus / name).glob(form)
    }
    return [path.relative_to(root) for path in found if path not in own and "__pycache__" not in path.parts]


def write_copy(target: Path) -> None:
    """Copy the shipped configuration into a directory that has none of its files yet.

    Raises:
        SettingsError: files are there already, or the directory cannot be written; then nothing was written.
    """
    root = shipped_root()
    names = [*list_copied(root), Path(".gitignore")]
    present = [str(name) for name in names if (target / name).exists()]
    if present:
        shown = ", ".join(present[:5]) + (f" and {len(present) - 5} more" if len(present) > 5 else "")  # noqa: PLR2004
        raise SettingsError(f"{target} already holds {shown}: nothing was written; give another directory")
    try:
        _copy(root, target, names)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"{error.filename or target}: cannot be written ({reason}): nothing was written") from error


def _copy(root: Path, target: Path, names: list[Path]) -> None:
    parent = next(path for path in (target.absolute(), *target.absolute().parents) if path.is_dir())
    with tempfile.TemporaryDirectory(prefix=".perfloop-init-", dir=parent) as scratch:
        fresh = Path(scratch)
        for name in names:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            if name == Path(".gitignore"):
                (fresh / name).write_text(_GITIGNORE, encoding="utf-8")
            else:
                shutil.copyfile(root / name, fresh / name)
        made: list[Path] = []
        try:
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).replace(target / name)
                made.append(target / name)
        except OSError:
            for path in made:
                path.unlink(missing_ok=True)
            raise
