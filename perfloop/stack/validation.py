"""Whether the configuration that a stack would use is valid: asked before anything is written, started or reloaded."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import yaml

from perfloop.stack import alertmanager_config, generation, programs
from perfloop.stack.components import PRICES_FILE, REPORTS_FILE, SCALING_FILE
from perfloop.stack.configuration import drop_prepared, prepare
from perfloop.stack.errors import SettingsError
from perfloop.stack.remote_write import REMOTE_WRITE_FILE, read_remote_write
from perfloop_base.errors import ConfigError
from perfloop_base.located import read_located
from perfloop_base.prices import read_prices
from perfloop_base.reports import read_reports
from perfloop_base.scaling import read_scaling
from perfloop_rules.check import check_rule_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfloop.stack.components import Component
    from perfloop.stack.settings import Settings

_CHECK_SECONDS = 60
# The files that have no reader of their own here: the programs read them. A pattern may match nothing.
_PLAIN = (
    "prometheus/prometheus.yml",
    "prometheus/targets/*.y*ml",
    "alertmanager/alertmanager.yml",
    "grafana/provisioning/*/*.yml",
    "grafana/tempo/*.yml",
    "demo/steady.yml",
)


def find_broken_files(configuration: Path) -> Iterator[str]:
    """Yield one sentence, with file and line, for each file of a configuration that is missing or not YAML."""
    for pattern in _PLAIN:
        found = sorted(configuration.glob(pattern))
        if not found and "*" not in pattern:
            yield f"{pattern}: the file is missing, and the stack cannot run without it."
        for path in found:
            name = path.relative_to(configuration)
            try:
                yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.MarkedYAMLError as error:
                line = error.problem_mark.line + 1 if error.problem_mark else 1
                yield f"{name}:{line}: not valid YAML: {error.problem or 'it cannot be read'}."
            except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
                yield f"{name}:1: cannot be read: {' '.join(str(error).split())}."


def check_sources(settings: Settings) -> tuple[list[str], generation.Changes]:
    """Return one sentence for each problem of the hand-written files, and what must be regenerated from them.

    A sentence begins with `file:line:` where there is a line. The configuration that came with an installed wheel is
    complete and read-only: nothing of it is generated.
    """
    problems = list(find_broken_files(settings.configuration))
    changes = generation.Changes()
    try:
        if settings.is_editable:
            changes = generation.find_changes(settings.configuration)
    except ConfigError as error:
        problems += error.problems
    problems += check_rule_files(settings.configuration)
    problems += _check_optional(settings.configuration / PRICES_FILE, PRICES_FILE, read_prices)
    problems += _check_optional(settings.configuration / SCALING_FILE, SCALING_FILE, read_scaling)
    problems += _check_optional(settings.configuration / REPORTS_FILE, REPORTS_FILE, read_reports)
    problems += _check_optional(
        settings.configuration / REMOTE_WRITE_FILE, REMOTE_WRITE_FILE, read_remote_write, needed=settings.scale
    )
    committed = settings.configuration / "alertmanager" / alertmanager_config.CONFIG
    try:
        if committed.is_file():
            alertmanager_config.render(committed.read_text(encoding="utf-8"), settings.secrets, {})
    except ConfigError as error:
        problems += error.problems
    except PermissionError:
        pass  # a secret of another user: the `init` container can read it, and a native start says that it cannot
    return list(dict.fromkeys(problems)), changes


def _check_optional(
    path: Path, name: str, read: Callable[[Path, str], object], *, needed: bool = False
) -> Iterator[str]:
    """Yield every problem of a file that not every stack must have: prices, reports, bounds of replicas."""
    try:
        if needed or path.exists():
            read(path, name)
    except ConfigError as error:
        yield from error.problems


def require_sources(settings: Settings) -> generation.Changes:
    """Check the hand-written files and return what must be regenerated from them.

    Raises:
        ConfigError: with every problem, one a line.
    """
    problems, changes = check_sources(settings)
    if problems:
        raise SettingsError(problems)
    return changes


def _ask(tool: Path, *arguments: str) -> str | None:
    """Return what the tool found wrong, or None."""
    done = subprocess.run(  # noqa: S603 - a fixed command line
        [str(tool), *arguments], capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
    )
    if done.returncode == 0:
        return None
    return " ".join(f"{done.stdout}\n{done.stderr}".rpartition("FAILED:")[2].split())


def _find_place(problem: str, path: Path) -> str:
    """Return `FILE:LINE: …` where promtool names a rule in one of its own forms, else nothing.

    Args:
        problem: what promtool wrote, the files by their path from that of `path`.
        path: the effective prometheus.yml.
    """
    directory = path.parent.name
    for form in (r"(\S+\.ya?ml): (\d+):\d+: (.*)", r"(\S+\.ya?ml): yaml: unmarshal errors: line (\d+): (.*)"):
        found = re.fullmatch(form, problem)
        if found:
            return f"{directory}/{found[1]}:{found[2]}: {found[3]}"
    # A mistake in a template has no line, only the number of its rule in its group.
    found = re.fullmatch(r'(\S+\.ya?ml): (group "([^"]*)", rule (\d+), .*)', problem)
    if not found:
        return ""
    groups = read_located(path.parent / found[1], []).mappings("groups")
    lines = [group.mappings("rules")[int(found[4]) - 1].line for group in groups if group.get("name") == found[3]]
    return f"{directory}/{found[1]}:{lines[0] if lines else 1}: {found[2]}"


def find_refused(settings: Settings, effective: Path) -> Iterator[str]:
    """Yield one sentence for each effective file that Prometheus or Alertmanager would refuse."""
    for name, file, arguments in (
        ("promtool", "prometheus/prometheus.yml", ("check", "config")),
        ("amtool", "alertmanager/alertmanager.yml", ("check-config",)),
    ):
        tool, path = programs.find(name, settings.home), effective / file
        problem = _ask(tool, *arguments, str(path)) if tool and path.exists() else None
        if problem:
            shown = problem.replace(f"{path.parent}/", "")
            yield _find_place(shown, path) or f"{name} refuses {file}: {shown}"


def require_effective(settings: Settings, components: list[Component], changes: generation.Changes) -> None:
    """Prepare the effective configuration, and check it with the programs' own tools; where it is refused, drop it.

    Raises:
        ConfigError: with every problem, one a line.
    """
    accepted = False
    try:
        problems = list(find_refused(settings, prepare(settings, components, changes.written)))
        accepted = not problems
    finally:
        if not accepted:
            drop_prepared(settings.home)
    if problems:
        raise SettingsError(problems)
