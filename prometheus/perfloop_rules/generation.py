"""From the hand-written files of the room to the generated ones, as texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_rules import packs, proofs, slo_rules, threshold_rules
from perfloop_rules.pages import read_pages
from perfloop_rules.rendering import render_yaml
from perfloop_rules.runbook import render_page
from perfloop_rules.slos import Slo, read_slos
from perfloop_rules.thresholds import Thresholds, read_thresholds
from perfloop_rules.trials import proof_file

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sources:
    """What people write: thresholds, SLOs, packs, the runbook; and where the dashboards show each signal."""

    thresholds: Thresholds
    slos: tuple[Slo, ...]
    packs: tuple[packs.Pack, ...]
    pages: dict[str, str]
    runbook: str


def read_sources(room: Path) -> Sources:
    """Read every hand-written file; raise RulebookError with what is wrong."""
    thresholds = read_thresholds(room / "thresholds.yml")
    return Sources(
        thresholds,
        read_slos(room / "slos.yml"),
        packs.read_packs(room / "packs", thresholds.limits),
        read_pages(room.parent / "grafana" / "panels.json"),
        (room / "runbook.md").read_text(encoding="utf-8"),
    )


def generate(sources: Sources) -> dict[str, str]:
    """Return every generated file: its path inside the room and its text."""
    page = {"runbook/runbook.html": render_page(sources.runbook)}
    return _from_thresholds(sources) | _from_slos(sources) | _from_packs(sources) | page


def _from_thresholds(sources: Sources) -> dict[str, str]:
    home, thresholds = "thresholds.yml", sources.thresholds
    tests = proof_file("thresholds.yml", proofs.threshold_cases(thresholds))
    return {
        "rules/thresholds.yml": _groups(home, threshold_rules.recording_groups(thresholds)),
        "alerts/thresholds.yml": _groups(home, threshold_rules.alert_groups(thresholds, sources.pages)),
        "tests/thresholds_test.yml": render_yaml(home, tests),
    }


def _from_slos(sources: Sources) -> dict[str, str]:
    home, slos = "slos.yml", sources.slos
    tests = proof_file("slos.yml", proofs.slo_cases(slos))
    return {
        "rules/slos.yml": _groups(home, slo_rules.recording_groups(slos)),
        "alerts/slos.yml": _groups(home, slo_rules.alert_groups(slos)),
        "tests/slos_test.yml": render_yaml(home, tests),
    }


def _from_packs(sources: Sources) -> dict[str, str]:
    files = {"rules/packs.yml": _groups("packs/*.yml", packs.recording_groups(sources.packs))}
    for pack in sources.packs:
        home = f"packs/{pack.name}.yml and thresholds.yml"
        limits = sources.thresholds.limits
        files[f"alerts/{pack.name}.yml"] = _groups(home, [packs.alert_group(pack, limits)])
        tests = proof_file(f"{pack.name}.yml", proofs.pack_cases(pack, limits))
        files[f"tests/{pack.name}_test.yml"] = render_yaml(home, tests)
    return files


def _groups(source: str, groups: list[dict[str, Any]]) -> str:
    return render_yaml(source, {"groups": groups})


def stale_files(room: Path, generated: dict[str, str]) -> list[str]:
    """Return a sentence for every file that is not what the sources give."""
    return [
        f"prometheus/{name}: differs from what its sources give; run `python -m perfloop_rules`."
        for name, text in generated.items()
        if not (room / name).is_file() or (room / name).read_text(encoding="utf-8") != text
    ]


def write_files(room: Path, generated: dict[str, str]) -> None:
    """Write the generated files."""
    for name, text in generated.items():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        (room / name).write_text(text, encoding="utf-8")
