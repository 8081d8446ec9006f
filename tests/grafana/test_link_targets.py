"""What a click opens, on a running stack: each link of each row and series, filled in as Grafana does, is followed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
import yaml

from tests.grafana.boards import Panel, default_values, fill_in
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.live_stack import LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("live-stack"), pytest.mark.timeout(600)]
Boards = dict[str, dict[str, Any]]
Labels = dict[str, str]
RANGE = "from=now-5m&to=now"


@pytest.fixture(scope="module")
def addresses(live_stack: LiveStack) -> dict[str, str]:
    """Where the programs are, by the names of the boards' hidden variables; the stack has been under load."""
    live_stack.wait_for_traffic()
    wait_for(lambda: live_stack.query("loadgen_run_info"), "the load generator's run")
    links = wait_for(lambda: live_stack.query("perfloop_link_info"), "the addresses of the programs")
    return {f"{one['metric']['program']}_url": one["metric"]["url"] for one in links}


def _fill(url: str, labels: Labels, headings: Labels, clicked: str, addresses: Labels) -> str | None:
    """The address as Grafana makes it of a row or a series; None where the row has no such label."""
    known = {
        **{f"__field.labels.{name}": value for name, value in labels.items()},
        **{f'__data.fields["{heading}"]': labels.get(field, "") for heading, field in headings.items()},
        **{f"__data.fields.{heading}": labels.get(field, "") for heading, field in headings.items()},
        "__value.raw": clicked,
        "__url_time_range": RANGE,
        "__from": "now-5m",
        "__to": "now",
        **addresses,
    }
    missing = False

    def put(match: re.Match[str]) -> str:
        nonlocal missing
        name = match.group(1)
        if name.endswith(":queryparam"):
            return f"var-{name.removesuffix(':queryparam')}=.*"
        missing |= not known.get(name)
        return known.get(name, "")

    filled = re.sub(r"\$\{([^}]+)\}", put, url)
    return None if missing else filled


def _links(panel: Panel) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each link with the heading of its column; none for links of all values."""
    config = panel.json["fieldConfig"]
    for link in config["defaults"].get("links") or ():
        yield "", link
    for entry in config["overrides"]:
        for one in entry["properties"]:
            for link in one["value"] if one["id"] == "links" else ():
                yield entry["matcher"]["options"], link


def _headings(panel: Panel) -> Labels:
    return {
        heading: field.removesuffix(" (lastNotNull)")
        for step in panel.json.get("transformations", ())
        if step["id"] == "organize"
        for field, heading in step["options"]["renameByName"].items()
    }


@pytest.fixture(scope="module")
def opened(live_stack: LiveStack, addresses: Labels, boards: Boards, panels: list[Panel]) -> dict[str, str]:
    """Every address that a click can open now, with a panel that has it."""
    found: dict[str, str] = {}
    with httpx.Client(base_url=live_stack.prometheus, timeout=60) as client:
        for panel in panels:
            values, headings = default_values(boards[panel.board]), _headings(panel)
            series: list[Labels] = [{}]
            for expression in panel.expressions if any("${__" in link["url"] for _, link in _links(panel)) else ():
                asked = client.get("/api/v1/query", params={"query": fill_in(expression, values)}).json()
                series += [one["metric"] for one in asked["data"]["result"]]
            for column, link in _links(panel):
                for labels in series:
                    clicked = labels.get(headings.get(column, ""), "")
                    if url := _fill(link["url"], labels, headings, clicked, addresses):
                        found.setdefault(url, f"{panel}: {link['title']}")
    return found


def test_links_to_boards_name_a_board_and_values(opened: dict[str, str], boards: Boards):
    """The board is there, has the variables that are given, and each is given a value."""
    inside = {url: place for url, place in opened.items() if url.startswith("/d/")}
    assert len(inside) > 30
    for url, place in inside.items():
        parts = urlsplit(url)
        board = boards[parts.path.split("/")[2]]
        names = {variable["name"] for variable in board["templating"]["list"]}
        given = parse_qs(parts.query, keep_blank_values=True)
        chosen = {name.removeprefix("var-"): value for name, value in given.items() if name.startswith("var-")}
        if "viewPanel" in given or "at that time" in place:
            # Where an alert is shown, on whichever board: one without services passes it over.
            names.add("service")
        assert chosen.keys() <= names, (place, url)
        assert all(all(value) for value in chosen.values()), (place, url)
        assert {"from", "to"} <= given.keys(), (place, url)


def test_links_to_pages_open_them(opened: dict[str, str]):
    """The page answers, and has the section that the address names."""
    outside = [url for url in opened if not url.startswith("/d/")]
    assert len(outside) > 10
    pages: dict[str, httpx.Response] = {}
    wrong = []
    with httpx.Client(timeout=60, follow_redirects=True) as client:
        for url in outside:
            page, _, section = url.partition("#")
            answer = pages.get(page) or pages.setdefault(page, client.get(page))
            # The analyzer's page lists what there is at this moment, which may be less than a moment ago.
            gone = section.startswith(("incident-", "recommendation-"))
            if not answer.is_success or (section and not gone and f'id="{unquote(section)}"' not in answer.text):
                wrong.append((opened[url], url, answer.status_code))
    assert wrong == []


def test_every_alert_has_its_section_in_the_runbook(addresses: Labels, checkout: Path):
    """Boards lead there by the name of the alert that fires."""
    page = httpx.get(f"{addresses['prometheus_url']}/user/runbook.html", timeout=60).raise_for_status().text
    names = {
        rule["alert"]
        for file in (checkout / "prometheus" / "alerts").glob("*.yml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert {name for name in names if f'id="{name}"' not in page} == set()


def test_a_silence_is_filled_in(addresses: Labels, opened: dict[str, str]):
    """The page of a new silence has the labels of the row that was clicked."""
    # One alert's, not that of a count of several.
    url = next(url for url in opened if "/silences/new" in url and "TargetDown" in url and "instance=" in unquote(url))
    page = httpx.get(url, timeout=60, follow_redirects=True).raise_for_status().text
    instance = re.search(r'instance="([^"]+)"', unquote(url))
    assert instance
    assert "TargetDown" in page
    assert instance.group(1) in page
    assert url.startswith(addresses["inbox_url"])
