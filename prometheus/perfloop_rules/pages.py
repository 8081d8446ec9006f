"""Where each signal is shown in Grafana: the dashboards say it themselves in grafana/panels.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from perfloop_rules.errors import RulebookError

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "var-service={{ $labels.service | urlquery }}"
OVERVIEW = f"/d/overview?{SERVICE}"


def read_pages(path: Path) -> dict[str, str]:
    """Return the path of the panel of each signal, as a template of an alert's annotation."""
    if not path.is_file():
        return {}
    try:
        signals = json.loads(path.read_text(encoding="utf-8"))["signals"]
        return {name: f"/d/{at['uid']}?{SERVICE}&viewPanel={at['panel']}" for name, at in signals.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RulebookError([f"grafana/panels.json: is not what grafana/build.py writes: {error!r}."]) from error
