"""Rules, alerts, dashboards and the Helm chart's files, generated from the files that people write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack import helm_chart, helm_values
from perfloop.stack.files import list_files, replace_files
from perfloop_boards import generation as boards
from perfloop_rules import generation as rules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

GRAFANA = Path("grafana")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a generation would change; paths start from the configuration.

    Attributes:
        written: the files that are missing or stale, and their new texts.
        removed: the rules, dashboards and files of the chart that are no longer generated.
    """

    written: Mapping[Path, str] = field(default_factory=dict)
    removed: tuple[Path, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Every path that changes."""
        return sorted([*self.written, *self.removed])


def generate(configuration: Path) -> dict[Path, str]:
    """Return every generated file: its path in the configuration and its text.

    Raises:
        ConfigError: a hand-written file breaks a rule; one sentence with file and line for each problem.
    """
    written, dashboards = _generate(configuration)
    generated = _below(rules.PROMETHEUS, written) | _below(GRAFANA, dashboards)
    return generated | _generate_chart(configuration, generated, ())


def _generate(configuration: Path) -> tuple[dict[Path, str], dict[Path, str]]:
    """Return what belongs below `prometheus/` and what belongs below `grafana/`."""
    dashboards = boards.generate(configuration)
    # Alerts link to the panels of the dashboards as they will be, not as an earlier version left them on the disk.
    return rules.generate(configuration, panels=dashboards[boards.PANELS]), dashboards


def _generate_chart(configuration: Path, generated: Mapping[Path, str], removed: Collection[Path]) -> dict[Path, str]:
    """Return the generated files of the Helm chart and of its page, where the configuration has a chart."""
    if not (configuration / helm_chart.CHART / "Chart.yaml").is_file():
        return {}
    sources = set(helm_chart.find_sources(configuration)) - set(removed)
    texts = {path: _read(configuration / path) or "" for path in sources} | dict(generated)
    return _below(helm_chart.CHART, helm_chart.generate(texts)) | helm_values.generate(configuration)


def find_changes(configuration: Path) -> Changes:
    """Return what differs between the generated files of a configuration and what its hand-written files give.

    Raises:
        ConfigError: a hand-written file breaks a rule; one sentence with file and line for each problem.
    """
    written, dashboards = _generate(configuration)
    generated = _below(rules.PROMETHEUS, written) | _below(GRAFANA, dashboards)
    removed = [GRAFANA / name for name in boards.retired(configuration / GRAFANA, dashboards)]
    removed += [rules.PROMETHEUS / name for name in rules.find_retired(configuration, written)]
    chart = _generate_chart(configuration, generated, removed)
    generated |= chart
    if chart:
        files = helm_chart.CHART / "files"
        removed += [files / name for name in list_files(configuration / files) if files / name not in chart]
    stale = {name: text for name, text in generated.items() if _read(configuration / name) != text}
    return Changes(stale, tuple(removed))


def _below(directory: Path, texts: Mapping[Path, str]) -> dict[Path, str]:
    return {directory / name: text for name, text in texts.items()}


def write(configuration: Path, changes: Changes) -> None:
    """Write and remove what `find_changes` found."""
    replace_files(configuration, changes.written)
    for name in changes.removed:
        (configuration / name).unlink(missing_ok=True)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
