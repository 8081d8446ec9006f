"""The files of the Helm chart that follow from the configuration: rules, boards, Prometheus and Alertmanager.

A chart can only read what lies inside it, so it has copies. They are generated like everything else that is: a changed
threshold reaches the cluster with `perfloop generate` and `helm upgrade`. Pure: texts in, texts out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack.helm_configs import ALERTMANAGER, PROMETHEUS, render_alertmanager_config, render_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHART = Path("deploy/helm/perfloop")
_COPIED = (
    "prometheus/thresholds.yml",
    "prometheus/slos.yml",
    "prometheus/scaling.yml",
    "prometheus/reports.yml",
    "prometheus/runbook/runbook.html",
    "alertmanager/alertmanager.yml",
)
_COPIED_DIRECTORIES = (("prometheus", "rules"), ("prometheus", "alerts"), ("alertmanager", "templates"))


def generate(texts: Mapping[Path, str]) -> dict[Path, str]:
    """Return the generated files of the chart by their paths in `CHART`.

    Args:
        texts: the configuration, generated files in their new form, by paths such as `prometheus/rules/red.yml`.

    Raises:
        ConfigError: prometheus.yml or alertmanager.yml cannot be translated; one sentence.
    """
    made = {Path("files", Path(name).name): texts[Path(name)] for name in _COPIED if Path(name) in texts}
    for path, text in sorted(texts.items()):
        if path.parts[:2] in _COPIED_DIRECTORIES:
            made[Path("files", *path.parts[1:])] = text
        elif path.parts[:2] == ("grafana", "dashboards"):
            # Without indentation a board takes half of a ConfigMap's limit, and of the release's own.
            board = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
            made[Path("files", *path.parts[1:])] = board + "\n"
    if PROMETHEUS in texts:
        made[Path("files/prometheus.yml")] = render_prometheus(texts[PROMETHEUS])
    if ALERTMANAGER in texts:
        made[Path("files/alertmanagerconfig.yml")] = render_alertmanager_config(texts[ALERTMANAGER])
    return made


def find_sources(configuration: Path) -> Iterator[Path]:
    """Yield the path of every file of a configuration that `generate` reads, from the configuration."""
    for directory in ("prometheus", "alertmanager", "grafana/dashboards"):
        for path in sorted((configuration / directory).rglob("*")):
            if path.is_file() and path.suffix in {".yml", ".json", ".html", ".tmpl"}:
                yield path.relative_to(configuration)
