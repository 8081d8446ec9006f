"""The pages of the load generator: the run so far, and the reports of past ones."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from perfloop_base.pages import head

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFRESH_SECONDS = 5
_SHOWN = 20
_LINKS = (("/runs/", "Reports"), ("/metrics", "Metrics"), ("/-/healthy", "Health"), ("/-/ready", "Readiness"))


def front_page(description: str, reports: Sequence[str]) -> str:
    """Return the page at `/`: the run so far in plain lines, and where the reports of past runs are."""
    return _page(
        "Load generator",
        "The run of this process so far: the whole run, not the last seconds. This page refreshes itself.",
        f"<pre>{escape(description)}</pre>\n{_list(reports[:_SHOWN])}",
        refresh_seconds=_REFRESH_SECONDS,
    )


def runs_page(reports: Sequence[str]) -> str:
    """Return the list of the kept reports, the newest first."""
    return _page("Load-test reports", "The reports of past runs on this machine, the newest first.", _list(reports))


def _list(reports: Sequence[str]) -> str:
    if not reports:
        return '<p class="soft">No report is kept here yet: a run leaves one when it ends while the stack is up.</p>\n'
    items = "".join(f'<li><a href="/runs/{quote(name)}">{escape(name)}</a></li>\n' for name in reports)
    return f"<h2>Reports of past runs</h2>\n<ul>\n{items}</ul>\n"


def _page(title: str, about: str, body: str, *, refresh_seconds: int = 0) -> str:
    links = "".join(f'<li><a href="{address}">{words}</a></li>\n' for address, words in (("/", "Run"), *_LINKS))
    return (
        f"{head(f'{title} · Perfloop', refresh_seconds=refresh_seconds)}<main>\n<h1>{title}</h1>\n"
        f'<p class="soft">{about}</p>\n<ul class="links">\n{links}</ul>\n{body}</main>\n</body>\n</html>\n'
    )
