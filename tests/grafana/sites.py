"""The Grafana that the browser tests look at: one that answers, or the one that the running stack has started."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.live_stack import LiveStack

ABSENT = "NO GRAFANA ANSWERS: set GRAFANA_URL (and GRAFANA_USER, GRAFANA_PASSWORD), or put `grafana` on PATH"


@dataclass(frozen=True)
class Site:
    """Where a Grafana answers, and who may look at it."""

    url: str
    user: str
    password: str

    @contextmanager
    def api(self) -> Iterator[GrafanaApi]:
        """Its HTTP API, for a while."""
        api = GrafanaApi.from_url(self.url, credential=(self.user, self.password))
        try:
            yield api
        finally:
            api.client.s.close()

    def provide(self, boards: dict[str, dict[str, Any]], prometheus: str) -> None:
        """Bring the data source and the boards to a Grafana that was not started with our provisioning."""
        with self.api() as api:
            try:
                api.datasource.get_datasource_by_uid("prometheus")
            except GrafanaClientError:
                source = {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "access": "proxy"}
                api.datasource.create_datasource({**source, "url": prometheus, "isDefault": True})
            known = {found["uid"] for found in api.search.search_dashboards(type_="dash-db")}
            for uid in boards.keys() - known:
                api.dashboard.update_dashboard({"dashboard": boards[uid], "overwrite": True})


def find_site(stack: LiveStack) -> Site | None:
    """GRAFANA_URL, else the stack's own Grafana where its program is on PATH, else none."""
    if url := os.environ.get("GRAFANA_URL"):
        return Site(url.rstrip("/"), os.environ.get("GRAFANA_USER", "admin"), os.environ.get("GRAFANA_PASSWORD", ""))
    if not (shutil.which("grafana") or shutil.which("grafana-server")):
        return None
    secret = Path(stack.environment["PERFLOOP_HOME"]) / "grafana" / "admin-password"
    port = stack.environment["PERFLOOP_GRAFANA_PORT"]
    return Site(f"http://127.0.0.1:{port}", "admin", secret.read_text(encoding="utf-8").strip())
