from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from perfloop.stack import generation, initialization
from perfloop.stack.errors import SettingsError
from perfloop.stack.initialization import write_copy
from perfloop.stack.settings import find_configuration, read_settings
from perfloop.stack.validation import check_sources


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the configuration."""
    write_copy(tmp_path / "a" / "copy")
    return tmp_path / "a" / "copy"


def test_a_copy_is_a_configuration_of_its_own(copy: Path) -> None:
    """It is valid, found from inside it, editable, and nothing of it is stale."""
    assert find_configuration(copy) == (copy, copy)
    settings = read_settings(copy, {})
    assert settings.is_editable
    assert settings.home == copy / ".perfloop"
    assert check_sources(settings) == ([], generation.Changes())


def test_the_wheel_has_what_a_copy_has(checkout: Path) -> None:
    """What `init` copies is there only where the package is built with it."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    held = {Path(name) for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]}
    copied = initialization.list_copied(checkout)
    assert [str(path) for path in copied if not held & {path, *path.parents}] == []


def test_a_copy_has_what_compose_mounts(copy: Path) -> None:
    """Every directory that docker-compose.yml mounts is there."""
    compose = yaml.safe_load((copy / "docker-compose.yml").read_text())
    mounts = {
        str(mount).split(":")[0] for service in compose["services"].values() for mount in service.get("volumes", [])
    }
    local = {mount for mount in mounts if mount.startswith("./")}
    assert local >= {"./prometheus", "./alertmanager", "./grafana"}
    assert [mount for mount in sorted(local) if not (copy / mount).is_dir()] == []
    assert (copy / "secrets" / "README.md").is_file()


def test_a_copy_keeps_secrets_and_runs_out_of_git(copy: Path) -> None:
    """Its .gitignore leaves out what must not be committed."""
    for name in ("secrets/slack_api_url", ".env", ".perfloop/x"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("x")
    subprocess.run(["git", "init", "-q", str(copy)], check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=copy, capture_output=True, text=True, check=True).stdout.split()
    assert {"secrets/README.md", "docker-compose.yml"} <= set(names)
    assert not {"secrets/slack_api_url", ".env", ".perfloop/x"} & set(names)


def test_a_service_of_the_checkouts_owner_is_not_copied(tmp_path: Path) -> None:
    """Targets that somebody put beside the committed files stay where they are."""
    (tmp_path / "prometheus" / "targets").mkdir(parents=True)
    for name in ("README.md", "mine.yml", "mine.json"):
        (tmp_path / "prometheus" / "targets" / name).touch()
    copied = [path for path in initialization.list_copied(tmp_path) if "targets" in path.parts]
    assert copied == [Path("prometheus/targets/README.md")]


def test_existing_files_are_named_and_kept(tmp_path: Path) -> None:
    """A directory that holds one of the files is refused with its name; nothing is written."""
    (tmp_path / "docker-compose.yml").write_text("mine")
    with pytest.raises(SettingsError, match=r"already holds docker-compose\.yml: nothing was written"):
        write_copy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["docker-compose.yml"]
    assert (tmp_path / "docker-compose.yml").read_text() == "mine"


def test_a_copy_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails half way leaves no file behind."""
    real, moved = Path.replace, []

    def fail_later(self: Path, target: Path) -> Path:
        if len(moved) == 20:
            raise OSError(28, "No space left on device", str(target))
        moved.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fail_later)
    with pytest.raises(SettingsError, match=r"cannot be written \(No space left on device\): nothing was written"):
        write_copy(tmp_path / "copy")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
