"""From the hand-written files of a configuration directory to the generated ones: the same input gives the same bytes.

`generate` returns the files that belong under `prometheus/`. `write` touches no other: a rule file that somebody else
put into rules/ or alerts/ stays, and a generated one (its first lines say so) goes when nothing generates it any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from perfloop_base.errors import ConfigError
from perfloop_base.located import show_path
from perfloop_base.slos import Slo, read_slos
from perfloop_base.thresholds import Thresholds, read_thresholds
from perfloop_rules import alert_facts, packs, proofs, slo_rules, spelling_rules, threshold_rules
from perfloop_rules.expressions import find_broken_expressions
from perfloop_rules.panels import parse_panels
from perfloop_rules.rendering import is_generated, render_yaml
from perfloop_rules.runbook import render_page
from perfloop_rules.spellings import Spelling, read_spellings
from perfloop_rules.trials import proof_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
PROMETHEUS = Path("prometheus")
GENERATED_DIRECTORIES = ("rules", "alerts", "tests")


@dataclass(frozen=True, slots=True)
class Sources:
    """What people write: thresholds, SLOs, packs, spellings, the runbook; and where the dashboards show each signal."""

    thresholds: Thresholds
    slos: tuple[Slo, ...]
    packs: tuple[packs.Pack, ...]
    spellings: tuple[Spelling, ...]
    panels: dict[str, str]
    runbook: str


def read_sources(directory: Path, panels: str | None = None) -> Sources:
    """Read every hand-written file; `panels` is the text of grafana/panels.json where it is not on disk yet.

    Raises:
        ConfigError: with every problem of every file.
    """
    root, problems = directory / PROMETHEUS, list[str]()
    thresholds = _collect(problems, lambda: read_thresholds(root / "thresholds.yml"))
    slos = _collect(problems, lambda: read_slos(root / "slos.yml"))
    # The packs are checked against the limits: without those there is nothing to say about them yet.
    found = _collect(problems, lambda: packs.read_packs(root / "packs", thresholds)) if thresholds else None
    spellings = _collect(problems, lambda: read_spellings(root / "spellings"))
    where = _collect(problems, lambda: _read_panels(directory / "grafana" / "panels.json", panels))
    runbook = _collect(problems, lambda: _read_text(root / "runbook.md"))
    if problems or thresholds is None or slos is None or found is None:
        raise ConfigError(problems)
    broken = find_broken_expressions(thresholds, slos, found, show_path(root / "slos.yml"))
    if broken:
        raise ConfigError(broken)
    return Sources(thresholds, slos, found, spellings or (), where or {}, runbook or "")


def _collect(problems: list[str], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ConfigError as error:
        problems += error.problems
        return None


def _read_panels(path: Path, text: str | None) -> dict[str, str]:
    if text is None and not path.is_file():
        return {}
    return parse_panels(_read_text(path) if text is None else text, show_path(path))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{show_path(path)}: cannot be read: {reason}.") from error


def generate(directory: Path, panels: str | None = None) -> dict[Path, str]:
    """Return every generated file by its path under `prometheus/`.

    Args:
        directory: the configuration, which holds `prometheus/` and `grafana/`.
        panels: the text of `grafana/panels.json` where it is not written yet.

    Raises:
        ConfigError: a hand-written file breaks a rule, or stands where a generated one belongs.
    """
    sources = read_sources(directory, panels)
    generated = {
        Path(name): text
        for name, text in (
            *_from_thresholds(sources).items(),
            *_from_slos(sources).items(),
            *_from_packs(sources).items(),
            ("rules/alerts.yml", _alert_facts(sources)),
            ("rules/spellings.yml", _groups("spellings/*.yml", spelling_rules.recording_groups(sources.spellings))),
            ("runbook/runbook.html", render_page(sources.runbook)),
        )
    }
    _refuse_to_overwrite(directory / PROMETHEUS, generated)
    return generated


def _refuse_to_overwrite(root: Path, generated: Mapping[Path, str]) -> None:
    problems = [
        f"{show_path(root / name)}:1: `perfloop generate` writes a file of this name, and this one is not generated;"
        " give it another name."
        for name in generated
        if (root / name).is_file() and not is_generated(root / name)
    ]
    if problems:
        raise ConfigError(problems)


def _from_thresholds(sources: Sources) -> dict[str, str]:
    source, thresholds = "thresholds.yml", sources.thresholds
    tests = proof_file("thresholds.yml", proofs.threshold_cases(thresholds))
    return {
        "rules/thresholds.yml": _groups(source, threshold_rules.recording_groups(thresholds)),
        "alerts/thresholds.yml": _groups(source, threshold_rules.alert_groups(thresholds, sources.panels)),
        "tests/thresholds_test.yml": render_yaml(source, tests),
    }


def _from_slos(sources: Sources) -> dict[str, str]:
    source, slos = "slos.yml", sources.slos
    alerts = {signal.name: signal.alert for signal in sources.thresholds.signals}
    tests = proof_file("slos.yml", proofs.slo_cases(slos, alerts))
    return {
        "rules/slos.yml": _groups(source, slo_rules.recording_groups(slos)),
        "alerts/slos.yml": _groups(source, slo_rules.alert_groups(slos, alerts)),
        "tests/slos_test.yml": render_yaml(source, tests),
    }


def _from_packs(sources: Sources) -> dict[str, str]:
    files = {"rules/packs.yml": _groups("packs/*.yml", packs.recording_groups(sources.packs))}
    for pack in sources.packs:
        source = f"packs/{pack.name}.yml and thresholds.yml"
        limits = sources.thresholds.alerts
        files[f"alerts/{pack.name}.yml"] = _groups(source, [packs.alert_group(pack, limits)])
        tests = proof_file(f"{pack.name}.yml", proofs.pack_cases(pack, limits))
        files[f"tests/{pack.name}_test.yml"] = render_yaml(source, tests)
    return files


def _alert_facts(sources: Sources) -> str:
    facts = [
        *threshold_rules.alert_facts(sources.thresholds, sources.panels),
        *slo_rules.alert_facts(sources.slos),
        *packs.alert_facts(sources.packs, sources.thresholds.alerts),
    ]
    return _groups("thresholds.yml, slos.yml and packs/*.yml", alert_facts.recording_groups(facts))


def _groups(source: str, groups: list[dict[str, Any]]) -> str:
    return render_yaml(source, {"groups": groups})


def write(directory: Path) -> list[Path]:
    """Write what `generate` returns under the directory's `prometheus/`, and remove what is no longer generated.

    Returns:
        The paths of the files that changed, removed ones included; nothing else is touched.

    Raises:
        ConfigError: a hand-written file breaks a rule; then nothing is written.
    """
    root, generated = directory / PROMETHEUS, generate(directory)
    retired = find_retired(directory, generated)
    changed = [name for name, text in generated.items() if _read(root / name) != text]
    for name in retired:
        (root / name).unlink()
    for name in changed:
        _replace(root / name, generated[name])
    return [root / name for name in (*retired, *changed)]


def stale(directory: Path) -> list[str]:
    """Return one sentence for each file under the directory's `prometheus/` that `write` would change.

    Raises:
        ConfigError: a hand-written file breaks a rule.
    """
    root, generated = directory / PROMETHEUS, generate(directory)
    missing = {name for name in generated if not (root / name).is_file()}
    differing = {name for name in generated.keys() - missing if _read(root / name) != generated[name]}
    return [
        *(f"prometheus/{name} is missing; run `perfloop generate`." for name in sorted(missing)),
        *(
            f"prometheus/{name} is no longer generated; run `perfloop generate`."
            for name in find_retired(directory, generated)
        ),
        *(
            f"prometheus/{name} differs from what its sources give; run `perfloop generate`."
            for name in sorted(differing)
        ),
    ]


def find_retired(directory: Path, generated: Mapping[Path, str]) -> list[Path]:
    """Return the files under `prometheus/` that an earlier run wrote and that are no longer generated."""
    root = directory / PROMETHEUS
    return [
        path.relative_to(root)
        for name in GENERATED_DIRECTORIES
        for path in sorted((root / name).glob("*.yml"))
        if path.relative_to(root) not in generated and is_generated(path)
    ]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole: Prometheus may read it at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
