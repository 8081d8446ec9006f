"""From a configuration directory to the dashboards: the same input gives the same bytes.

`generate` returns the files that belong under `grafana/`: each board as `dashboards/<uid>.json` for the stack's own
Grafana and as `export/<uid>.json` for import into another, and `panels.json`, which says which panel shows which signal
(alerts link there) and which boards were written. A board that a later version drops is removed by that list; a user's
own dashboards in the same directory stay.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from perfloop_base.errors import ConfigError
from perfloop_boards import (
    alerts,
    analysis,
    capacity,
    database_cache,
    fleet,
    kubernetes,
    llm,
    load_test,
    overview,
    recommendations,
    service,
    slo,
    stack,
    system,
)
from perfloop_boards.board import build_dashboard, locate_signals
from perfloop_boards.export import make_portable
from perfloop_boards.limits import read_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_boards.board import Board
    from perfloop_boards.limits import Limits

MODULES = (
    overview,
    service,
    slo,
    system,
    fleet,
    kubernetes,
    llm,
    database_cache,
    load_test,
    analysis,
    recommendations,
    capacity,
    alerts,
    stack,
)
DASHBOARDS = Path("dashboards")
EXPORT = Path("export")
PANELS = Path("panels.json")


def generate(directory: Path) -> dict[Path, str]:
    """Return every generated file by its path under `grafana/`.

    Raises:
        ConfigError: thresholds.yml or slos.yml of the directory is wrong, or lacks a limit that a board shows.
    """
    limits = read_limits(directory)
    boards = _build_boards(limits)
    by_uid = {board.uid: board for board in boards}
    encoder = JSONEncoder(sort_keys=True, indent=2)
    dashboards = {
        DASHBOARDS / f"{board.uid}.json": encoder.encode(build_dashboard(board, by_uid)) + "\n" for board in boards
    }
    exported = {
        EXPORT / path.name: json.dumps(make_portable(json.loads(text)), indent=2, ensure_ascii=False) + "\n"
        for path, text in dashboards.items()
    }
    return {**dashboards, **exported, PANELS: _list_panels(boards)}


def _build_boards(limits: Limits) -> list[Board]:
    boards = [module.build(limits) for module in MODULES]
    if limits.problems:
        # A limit that several panels show is one problem.
        raise ConfigError(list(dict.fromkeys(limits.problems)))
    return boards


def _list_panels(boards: Sequence[Board]) -> str:
    places = {signal: place for board in boards for signal, place in locate_signals(board).items()}
    listed = {"boards": [board.uid for board in boards], "signals": places}
    return json.dumps(listed, indent=2, sort_keys=True) + "\n"


def write(directory: Path) -> list[Path]:
    """Write what `generate` returns under the directory's `grafana/`, remove boards that are no longer made.

    Returns:
        The paths of the files that changed, removed ones included; nothing else is touched.
    """
    root, generated = directory / "grafana", generate(directory)
    gone = retired(root, generated)
    changed = [name for name, text in generated.items() if _read(root / name) != text]
    for name in gone:
        (root / name).unlink()
    for name in changed:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(generated[name], encoding="utf-8")
    return [root / name for name in (*gone, *changed)]


def stale(directory: Path) -> list[str]:
    """Return one sentence for each file under the directory's `grafana/` that `write` would change."""
    root, generated = directory / "grafana", generate(directory)
    missing = {name for name in generated if not (root / name).is_file()}
    differing = {name for name in generated.keys() - missing if _read(root / name) != generated[name]}
    return [
        *(f"grafana/{name} is missing." for name in sorted(missing)),
        *(f"grafana/{name} is no longer generated." for name in retired(root, generated)),
        *(f"grafana/{name} differs from its board and the thresholds." for name in sorted(differing)),
    ]


def retired(root: Path, generated: dict[Path, str]) -> list[Path]:
    """Return the boards that an earlier run wrote, by its own list, and that are no longer generated."""
    try:
        uids = json.loads(_read(root / PANELS) or "{}").get("boards", [])
    except (ValueError, AttributeError):  # damaged: it is replaced, and nothing is removed
        return []
    earlier = (directory / f"{uid}.json" for uid in uids for directory in (DASHBOARDS, EXPORT))
    return sorted(name for name in earlier if name not in generated and (root / name).is_file())


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
